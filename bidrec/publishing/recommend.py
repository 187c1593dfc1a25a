"""Read what was published: the companies for a notice, the open notices for a company or near a vector, in words.

Reads   published/current; features/ for the reasons
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np

from bidrec.errors import BidrecError, ContractError, InputMissing
from bidrec.publishing.arrived import Arrived, may_bid
from bidrec.publishing.layout import READ, require_columns
from bidrec.publishing.reasons import reasons_for
from bidrec.publishing.version import published_folder
from bidrec.ranking.topk import top_k
from bidrec.runs.found import newest
from bidrec.sql.words import dicts
from bidrec.storage.intact import require_intact

PROBABILITY, COSINE = "probability", "cosine"
"""What a score is: the probability that the company bids, or the cosine of the two vectors, which only orders."""


class Published:
    """The version that is current when it is opened; a later write-back does not change what this one reads.

    Raises InputMissing (66) where nothing is published, ContractError (65) where another bidrec published it, with
    other columns. `k` is of at least 1 everywhere; otherwise ContractError (65).
    """

    def __init__(self, home: str | os.PathLike[str]) -> None:
        home = Path(home)
        folder = published_folder(home)
        if not folder.exists():
            raise InputMissing(f"nothing is published in {home}", hint=_what_publishes(home))
        self.home, self.folder = home, folder.resolve()
        manifest = require_intact(self.folder, ())
        require_columns(self.folder)
        self.as_of = datetime.fromisoformat(manifest["as_of"])
        self.written_at = datetime.fromisoformat(manifest["written_at"])
        self.run_id: str = manifest["run"]
        self.zone = ZoneInfo(manifest.get("zone", "UTC"))  # of the source's clocks, for what people are shown
        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'")

    def companies_for(self, notice_id: str, k: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The notice, and its k likeliest bidders, best first: the published list where the notice is open (of up to
        publish.top_k that may bid), otherwise by the cosine of the vectors, whoever may bid. Raises InputMissing (66)
        for an unknown notice."""
        _require_some(k)
        notice = self._one("notices", "notice_id", notice_id)
        listed = self._listed("notice_recommendations", "notice_id", notice_id, "company_ids")
        if listed is not None:
            described = self._described("companies", "company_id", listed[:k], PROBABILITY)
            return notice, self._explained(notice, described)
        query_D = self._vectors("notice_embedding", "notice_id", [notice_id])[1]
        ids, vectors_CD = self._vectors("company_embedding", "company_id")
        ranked = self._ranked("companies", "company_id", query_D, ids, vectors_CD, k)
        return notice, self._explained(notice, ranked)

    def company(self, company_id: str) -> dict[str, Any]:
        """What is known of a company. Raises InputMissing (66) for an unknown one."""
        return self._one("companies", "company_id", company_id)

    def notices_for(
        self, company_id: str, k: int, as_of: datetime | None = None
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The company, and the k open notices that suit it best: the published list (of up to publish.top_k that it
        may bid on), or, for the notices open at another time `as_of`, by the cosine of the vectors, whoever may bid.

        Raises InputMissing (66) for an unknown company, and where no notice is open.
        """
        _require_some(k)
        company = self.company(company_id)
        if as_of is None:
            self._some_open(None)
            listed = self._listed("company_recommendations", "company_id", company_id, "notice_ids") or []
            described = self._described("notices", "notice_id", listed[:k], PROBABILITY)
            return company, self._explained(company, described)
        query_D = self._vectors("company_embedding", "company_id", [company_id])[1]
        ids, vectors_ND = self._vectors("notice_embedding", "notice_id", self._some_open(as_of))
        ranked = self._ranked("notices", "notice_id", query_D, ids, vectors_ND, k)
        return company, self._explained(company, ranked)

    def companies_near(self, vector: Sequence[float], k: int) -> list[dict[str, Any]]:
        """The k companies whose vectors have the largest cosine with `vector` (D numbers), best first.

        Raises ContractError (65) for a vector of another length than the published ones, or without a direction.
        """
        _require_some(k)
        ids, vectors_CD = self._vectors("company_embedding", "company_id")
        return self._ranked("companies", "company_id", _unit(vector, vectors_CD), ids, vectors_CD, k)

    def notices_near(self, vector: Sequence[float], k: int, as_of: datetime | None = None) -> list[dict[str, Any]]:
        """The k notices open at `as_of` (default: as of the write-back) of the largest cosine with `vector`, in order.

        Raises ContractError (65) as `companies_near` does; InputMissing (66) where no notice is open.
        """
        _require_some(k)
        ids, vectors_ND = self._vectors("notice_embedding", "notice_id", self._some_open(as_of))
        return self._ranked("notices", "notice_id", _unit(vector, vectors_ND), ids, vectors_ND, k)

    def reasons_for(self, pairs: Sequence[tuple[str, str]]) -> list[list[dict[str, Any]]]:
        """What the known bids say about each (notice id, company id); see bidrec.publishing.reasons."""
        return reasons_for(self.home, pairs, self.as_of)

    def companies_for_new(self, notice: Mapping[str, Any], k: int) -> list[dict[str, Any]]:
        """The k companies that may bid on a notice that arrived after the write-back, by cosine, best first.

        notice: canonical columns (bidrec/contract.py). Raises ContractError (65) on what is no notice.
        """
        _require_some(k)
        vector_1D, regions, licences = self._arrived.vector(notice)
        ids, vectors_CD = self._vectors("company_embedding", "company_id")
        allowed = np.flatnonzero(may_bid(self.home, self.as_of, ids, regions, licences))
        chosen = [ids[row] for row in allowed]
        return self._ranked("companies", "company_id", vector_1D, chosen, vectors_CD[allowed], k)

    @cached_property
    def _arrived(self) -> Arrived:
        return Arrived.of(self.home, self.run_id)

    def an_open_notice(self) -> str | None:
        """The notice published last of those that are open and have somebody in their list, or None."""
        still_open = self._open(None, "WHERE len(company_ids) > 0")
        return still_open[0] if still_open else None

    def _some_open(self, as_of: datetime | None) -> list[str]:
        still_open = self._open(as_of)
        if not still_open:
            raise InputMissing("no notice is open at that time", hint="give --as-of a time within the data")
        return still_open

    def _open(self, as_of: datetime | None, listed: str = "") -> list[str]:
        """Notices that may be bid on, the newest first; `listed`: an SQL condition on their published lists."""
        if as_of is None:
            rows = self.connection.execute(
                f"""SELECT notice_id FROM read_parquet(?) AS listed JOIN read_parquet(?) AS notice USING (notice_id)
                   {listed} ORDER BY published_at DESC, notice_id""",
                [self._path("notice_recommendations"), self._path("notices")],
            )
        else:
            rows = self.connection.execute(
                """SELECT notice_id FROM read_parquet($1) WHERE published_at <= $2 AND closes_at > $2
                   ORDER BY published_at DESC, notice_id""",
                [self._path("notices"), as_of],
            )
        return [notice_id for (notice_id,) in rows.fetchall()]

    def _ranked(
        self, table: str, key: str, query_D: np.ndarray, ids: list[str], vectors_ND: np.ndarray, k: int
    ) -> list[dict[str, Any]]:
        rows, scores = top_k(query_D, vectors_ND, k)
        listed = [(ids[row], float(score)) for row, score in zip(rows[0], scores[0], strict=True)]
        return self._described(table, key, listed, COSINE)

    def _listed(self, table: str, key: str, value: str, other: str) -> list[tuple[str, float]] | None:
        """The published list of one notice or company: (id, score), best first; None where there is none."""
        found = self.connection.execute(
            f"SELECT list_zip({other}, scores) FROM read_parquet(?) WHERE {key} = ?", [self._path(table), value]
        ).fetchone()
        return None if found is None else found[0]

    def _described(self, table: str, key: str, listed: list[tuple[str, float]], score_is: str) -> list[dict[str, Any]]:
        described = {row[key]: row for row in self._rows(table, key, [name for name, _ in listed])}
        return [
            {"rank": rank, "score": score, "score_is": score_is, **described[name]}
            for rank, (name, score) in enumerate(listed, start=1)
        ]

    def _explained(self, asked: dict[str, Any], listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The list with `reasons`: what the known bids of each pair's company say about its notice."""
        pairs = [({**asked, **row}["notice_id"], {**asked, **row}["company_id"]) for row in listed]
        found = self.reasons_for(pairs)
        return [{**row, "reasons": reasons} for row, reasons in zip(listed, found, strict=True)]

    def _one(self, table: str, key: str, value: str) -> dict[str, Any]:
        found = self._rows(table, key, [value])
        if not found:
            alike = self._alike(table, key, value)
            raise InputMissing(
                f"no {key.removesuffix('_id')} {value!r} was published",
                hint=f"did you mean {' or '.join(alike)}?"
                if alike
                else f"bidrec explore finds it by its words; {self.folder / table}.parquet has all",
            )
        return found[0]

    def _alike(self, table: str, key: str, value: str) -> list[str]:
        """Up to three ids that begin as `value` does but for hyphens and spaces: a notice's number without its order,
        a company's as it is printed. Newest first, by their order as text."""
        plain = "regexp_replace({}, '[^\\pL\\pN]', '', 'g')"
        rows = self.connection.execute(
            f"SELECT {key} FROM read_parquet(?) WHERE length({plain.format('?')}) > 3 AND "
            f"starts_with({plain.format(key)}, {plain.format('?')}) ORDER BY 1 DESC LIMIT 3",
            [self._path(table), value, value],
        ).fetchall()
        return [found for (found,) in rows]

    def _rows(self, table: str, key: str, values: list[str]) -> list[dict[str, Any]]:
        result = self.connection.execute(
            f"SELECT {', '.join(READ[table])} FROM read_parquet(?) WHERE {key} IN (SELECT unnest(?::VARCHAR[]))",
            [self._path(table), values],
        )
        return dicts(result)

    def _vectors(self, table: str, key: str, values: list[str] | None = None) -> tuple[list[str], np.ndarray]:
        """Ids and their (n, D) vectors, of all rows or of those asked for."""
        chosen = "" if values is None else f"WHERE {key} IN (SELECT unnest(?::VARCHAR[]))"
        found = self.connection.execute(
            f"SELECT {key}, embedding FROM read_parquet(?) {chosen} ORDER BY {key}",
            [self._path(table), *([] if values is None else [values])],
        ).to_arrow_table()
        vectors = found["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return found[key].to_pylist(), vectors.reshape(found.num_rows, -1)

    def _path(self, table: str) -> str:
        return str(self.file(f"{table}.parquet"))

    def file(self, name: str) -> Path:
        """Path of one of the version's files. Raises ContractError (65) where it is not as it was written."""
        require_intact(self.folder, (name,))
        return self.folder / name


def _require_some(k: int) -> None:
    if k < 1:
        raise ContractError(f"k is the length of a list, at least 1, not {k}")


def _what_publishes(home: Path) -> str:
    """The next step: nobody who has trained is sent to train again."""
    with suppress(BidrecError):  # of a damaged run; write-back says more
        if newest(home) is not None:
            return "bidrec write-back publishes the newest run, or says why it may not be published"
    return "bidrec train, then bidrec write-back"


def _unit(vector: Sequence[float], vectors_ND: np.ndarray) -> np.ndarray:
    """(1, D) float32 of length one, so that products with the published vectors are cosines."""
    given, length = np.asarray(vector, np.float64), vectors_ND.shape[1]
    if given.shape != (length,):
        raise ContractError(f"the vector has {given.size} numbers, the published ones have {length}")
    with np.errstate(over="ignore"):  # said by what follows
        norm = np.linalg.norm(given)
    if not np.isfinite(norm) or norm == 0:
        raise ContractError("the vector has no direction: its length is zero, or not finite")
    return (given / norm).astype(np.float32)[None, :]
