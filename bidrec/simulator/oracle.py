"""The oracle: the true probability that a company bids on a notice, from what the simulation kept.

Reads   OUT/oracle/ (process.json, company, segment, favourite, notice/), which simulate.py writes
Read by the evaluation of the demo, as the best ranking there can be

The formula is in `bidrec/simulator/__init__.py`. The oracle knows everybody's state at the notice's publication:
births, ends and drifts that happened by then, and nothing random that comes after.
"""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bidrec.errors import InputMissing
from bidrec.simulator.bids import may_bid, size_liking
from bidrec.simulator.channels import Channel, groups_of, make_channels
from bidrec.simulator.companies import Companies
from bidrec.simulator.dumps import company_ids as ids_of
from bidrec.simulator.notices import FIELDS, Notices
from bidrec.storage import sealed

FOLDER = "oracle"
PROCESS = "process.json"
VERSION = 1
"""Of the formula: kept latent parameters are read by the formula they were made for."""


def has_oracle(folder: Path) -> bool:
    """Whether the folder of dumps was simulated, so that the truth is known."""
    return (folder / FOLDER / PROCESS).is_file()


class Oracle:
    """The latent world of one simulated folder."""

    def __init__(self, folder: Path) -> None:
        """Raises InputMissing (66) where the folder has no oracle, or one of another version of the formula."""
        process = sealed.read_json(folder / FOLDER / PROCESS)
        if process["version"] != VERSION:
            raise InputMissing(f"{folder} was simulated by another version of the process", hint="simulate it again")
        self.topics = len(process["topics"])
        self.district_province = np.array(process["district_province"], np.int16)
        self.companies = load_companies(folder / FOLDER)
        self.channels = make_channels(self.companies, self.district_province, self.topics, len(process["licences"]))
        self._row = {ident: row for row, ident in enumerate(ids_of(self.companies).to_pylist())}
        self._notices = folder / FOLDER / "notice"

    def scores(self, notice_ids: Sequence[str], company_ids: Sequence[str]) -> NDArray[np.float32]:
        """(n, m) float32: natural log of the intensity of each pair at the notice's publication.

        P(bid) = 1 - exp(-exp(score)); -inf where a bid is impossible. Holds n x m float64: give it notices in blocks.
        Raises InputMissing (66) on an unknown id.
        """
        notices = self.notices(notice_ids)
        unknown = [ident for ident in company_ids if ident not in self._row]
        if unknown:
            raise InputMissing(f"the oracle knows no company {unknown[0]!r} ({len(unknown)} unknown)")
        company = np.array([self._row[ident] for ident in company_ids], np.int64)
        with np.errstate(divide="ignore"):
            return np.log(self.intensity(notices, company)).astype(np.float32)

    def intensity(self, notices: Notices, company: NDArray) -> NDArray[np.float64]:
        """(n, m) expected serious approaches of the companies (rows of self.companies, distinct) to the notices."""
        column = np.full(len(self.companies.home), -1, np.int64)
        column[company] = np.arange(len(company))
        total = np.zeros((len(notices["published"]), len(company)))
        groups = groups_of(notices, self.topics, self.channels)
        for channel, group in zip(self.channels, groups, strict=True):
            _add(total, channel, group, notices, column)
        home = self.district_province[self.companies.home][company]
        total *= may_bid(notices["limit"][:, None], notices["limit_too"][:, None], home[None, :])
        total *= size_liking(notices["value"][:, None], self.companies.capacity[company][None, :])
        return total

    def notices(self, notice_ids: Sequence[str]) -> Notices:
        """The latent rows of the notices, in the order asked for. Raises InputMissing (66) on an unknown id."""
        wanted = pa.array(list(notice_ids), pa.string())
        table = pq.read_table(self._notices, filters=pc.field("notice_id").isin(wanted))
        place = {ident: row for row, ident in enumerate(table["notice_id"].to_pylist())}
        unknown = [ident for ident in notice_ids if ident not in place]
        if unknown:
            raise InputMissing(f"the oracle knows no notice {unknown[0]!r} ({len(unknown)} unknown)")
        where = np.array([place[ident] for ident in notice_ids], np.int64)
        return {field: table[field].to_numpy()[where] for field in FIELDS}


def _add(total: NDArray, channel: Channel, group: NDArray, notices: Notices, column: NDArray) -> None:
    """Add one channel's part of the intensity to (n, m) `total`; column[c] is company c's column there, or -1."""
    for at in np.unique(group[group >= 0]):
        member = np.arange(channel.offset[at], channel.offset[at + 1])
        member = member[column[channel.company[member]] >= 0]
        row = np.flatnonzero(group == at)
        published = notices["published"][row][:, None]
        active = (channel.begin[member] <= published) & (published < channel.end[member])
        part = notices["keenness"][row][:, None] * channel.weight * channel.chance[member] * active
        # A company may have several rows in a group (one of before its drift): add, don't assign.
        np.add.at(total, (row[:, None], column[channel.company[member]][None, :]), part)


def load_companies(folder: Path) -> Companies:
    """The latent companies that save_companies wrote."""
    table = _arrays(folder / "company.parquet")
    return Companies(
        **table, segment=_arrays(folder / "segment.parquet"), favourite=_arrays(folder / "favourite.parquet")
    )


def save_companies(folder: Path, companies: Companies) -> None:
    """company.parquet (C rows), segment.parquet (S), favourite.parquet (F), row numbers as they are in memory."""
    tables: dict[str, dict[str, Any]] = {"company": {}}
    for field in fields(companies):
        value = getattr(companies, field.name)
        if isinstance(value, dict):
            tables[field.name] = value
        else:
            tables["company"][field.name] = value
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet", compression="zstd")


def _arrays(path: Path) -> dict[str, NDArray]:
    table = pq.read_table(path)
    return {name: table[name].to_numpy() for name in table.column_names}
