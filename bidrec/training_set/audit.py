"""The leak audit: what was written, held against time once more, by another route than it was made.

Reads   runs/ID/training_set/ as plain arrays, in blocks
Writes  nothing; its counts go into the manifest

The set is made by binary searches over packed keys and by aggregates over tables; the audit only compares
neighbouring numbers of the finished arrays and counts ids in them. One violation stops the job: a model that has seen
the future looks better than it is, and nobody notices until it is used.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from bidrec.errors import ContractError
from bidrec.storage import read_json, read_manifest
from bidrec.training_set.load import Side, TrainingSet
from bidrec.training_set.npy import read
from bidrec.training_set.scaling import CLIP
from bidrec.training_set.splits import day_of
from bidrec.training_set.text import MAXIMUM_TERMS

BLOCK_ROWS = 131_072


def audit_training_set(
    folder: Path, manifest: dict[str, Any] | None = None, block_rows: int = BLOCK_ROWS
) -> dict[str, int]:
    """Check every pair, version and fitted row of a written training set; returns how many of each.

    manifest: its facts where the file is not written yet. Raises ContractError (65) with the number of violations of
    the first broken rule and one example.
    """
    ts = TrainingSet.map(folder, manifest or read_manifest(folder) or {})
    _audit_references(ts, block_rows)
    _audit_limits(ts)
    for rows in _blocks(len(ts.version_company), block_rows):
        _audit_versions(ts, rows)
    for rows in _blocks(len(ts.pair_notice), block_rows):
        _audit_pairs(ts, rows)
    fitted = 0
    if read_json(folder / "schema.json")["fitted"]:
        times = {"notice": ts.notice_published_at, "profile": ts.profile_known_at, "version": ts.version_known_at}
        for name, known_at in times.items():
            fitted += _audit_fit(ts, name, known_at, block_rows)
    return {"pairs": len(ts.pair_notice), "versions": len(ts.version_company), "fitted_rows": fitted, "violations": 0}


def _audit_references(ts: TrainingSet, block_rows: int) -> None:
    """Every pointer leads to a row that exists, and tables are in the order that the other checks rest on."""
    limits: list[tuple[str, npt.NDArray[np.integer], int, int]] = [
        ("pair notice", ts.pair_notice, 0, ts.notice.rows),
        ("pair company", ts.pair_company, 0, ts.companies),
        ("pair version", ts.pair_version, -1, ts.version.rows),
        ("version company", ts.version_company, 0, ts.companies),
        ("version profile", ts.version_profile, -1, ts.profile.rows),
        ("version log_begin", ts.version_log_begin, 0, len(ts.log_company) + 1),
        ("version log_end", ts.version_log_end, 0, len(ts.log_company) + 1),
        ("log notice", ts.log_notice, 0, ts.notice.rows),
    ]
    for name, values, least, beyond in limits:
        if len(values) and not least <= int(values.min()) <= int(values.max()) < beyond:
            raise ContractError(f"training set: a {name} lies outside [{least}, {beyond})", hint="build it again")
    for name, company, known_at in (
        ("log", ts.log_company, ts.log_known_at),
        ("profile", ts.profile_company, ts.profile_known_at),
        ("version", ts.version_company, ts.version_known_at),
    ):
        for rows in _blocks(len(company), block_rows):
            around = slice(max(rows.start - 1, 0), rows.stop)
            _audit_order(name, company[around], known_at[around], around.start)


def _audit_limits(ts: TrainingSet) -> None:
    """What is said of who may bid is said by a notice or a profile of the set, whose time the other rules look at."""
    for name, number in (("notice/limits", ts.notice_limits), ("profile/standing", ts.profile_standing)):
        stated = pq.ParquetFile(ts.folder / f"{name}.parquet").read().to_pylist()
        if len(number) and not 0 <= int(number.min()) <= int(number.max()) < len(stated):
            raise ContractError(f"training set: a {name} lies outside [0, {len(stated)})", hint="build it again")
        stray = np.bincount(number, minlength=len(stated)) == 0
        stray[0] = any(stated[0].values())
        _refuse(stray, f"rows of {name} belong to nothing in the set", stated.__getitem__)


def _audit_order(
    name: str, company: npt.NDArray[np.integer], known_at: npt.NDArray[np.integer], first_row: int
) -> None:
    step = np.diff(company)
    unsorted = (step < 0) | ((step == 0) & (np.diff(known_at) < 0))
    _refuse(unsorted, f"{name} rows are out of order by company and time", lambda i: f"row {first_row + i + 1}")


def _audit_versions(ts: TrainingSet, rows: slice) -> None:
    """A version's profile and history are its own company's, were known by its time, and leave out nothing known."""
    company, known_at = ts.version_company[rows], ts.version_known_at[rows]

    def version(i: int) -> str:
        return f"version {rows.start + i} of company row {company[i]}, known {day_of(int(known_at[i]))}"

    profile = ts.version_profile[rows]
    has = profile >= 0
    if len(ts.profile_company):
        of = np.where(has, profile, 0)
        _refuse(has & (ts.profile_company[of] != company), "versions point at another company's profile", version)
        _refuse(has & (ts.profile_known_at[of] > known_at), "versions point at a profile known later", version)
        later = np.where(has, profile + 1, np.searchsorted(ts.profile_company, company))
        _refuse(
            _known_by(ts.profile_company, ts.profile_known_at, later, company, known_at),
            "versions miss a newer profile",
            version,
        )
    begin, end = ts.version_log_begin[rows], ts.version_log_end[rows]
    _refuse(begin > end, "versions have a history that ends before it begins", version)
    holds = end > begin
    if not len(ts.log_company):
        return
    first, last = np.where(holds, begin, 0), np.where(holds, end - 1, 0)
    # The log is sorted by company and time, so a stretch is sound if its two ends are.
    other = (ts.log_company[first] != company) | (ts.log_company[last] != company)
    _refuse(holds & other, "versions have bids of another company in their history", version)
    _refuse(holds & (ts.log_known_at[last] > known_at), "versions have a bid in their history known later", version)
    before = np.maximum(begin - 1, 0)
    _refuse((begin > 0) & (ts.log_company[before] == company), "versions miss their company's first bids", version)
    _refuse(
        _known_by(ts.log_company, ts.log_known_at, end, company, known_at), "versions miss bids known by then", version
    )


def _audit_pairs(ts: TrainingSet, rows: slice) -> None:
    """A pair's version is its own company's, was known when the notice was published, and is the newest such."""
    notice, company, version = ts.pair_notice[rows], ts.pair_company[rows], ts.pair_version[rows]
    as_of = ts.notice_published_at[notice]

    def pair(i: int) -> str:
        seen = f"version {version[i]} known {_moment(ts.version_known_at[version[i]])}" if version[i] >= 0 else "none"
        return (
            f"pair {rows.start + i}: notice row {notice[i]} published {_moment(as_of[i])}, "
            f"company row {company[i]}, {seen}"
        )

    if not len(ts.version_company):
        return
    _refuse(ts.pair_known_at[rows] <= as_of, "pairs have a bid that was public when their notice was", pair)
    has = version >= 0
    of = np.where(has, version, 0)
    _refuse(has & (ts.version_company[of] != company), "pairs use another company's version", pair)
    _refuse(has & (ts.version_known_at[of] > as_of), "pairs use a version known after their notice's publication", pair)
    profile = ts.version_profile[of]
    if len(ts.profile_known_at):
        late = ts.profile_known_at[np.maximum(profile, 0)] > as_of
        _refuse(has & (profile >= 0) & late, "pairs use a profile known after their notice's publication", pair)
    if len(ts.log_known_at):
        last = ts.version_log_end[of] - 1
        late = ts.log_known_at[np.maximum(last, 0)] > as_of
        holds = ts.version_log_end[of] > ts.version_log_begin[of]
        _refuse(has & holds & late, "pairs use a bid known after their notice's publication", pair)
    following = np.where(has, version + 1, np.searchsorted(ts.version_company, company))
    stale = _known_by(ts.version_company, ts.version_known_at, following, company, as_of)
    _refuse(stale, "pairs do not use the newest version known by then", pair)


def _audit_fit(ts: TrainingSet, name: str, known_at: npt.NDArray[np.int64], block_rows: int) -> int:
    """Everything fitted on a side was fitted on its rows before the cutoff, all of them and no other."""
    side: Side = getattr(ts, name)
    stated = side.schema["fit"]
    training = known_at < ts.cutoff
    rows = int(np.count_nonzero(training))
    if stated["before"] != ts.cutoff or (stated["latest"] is not None and stated["latest"] >= ts.cutoff):
        raise ContractError(f"{name}: fitted on rows up to {stated['latest']}, but training ends at {ts.cutoff}")
    if stated["rows"] != rows:
        raise ContractError(f"{name}: fitted on {stated['rows']} rows, but {rows} were known before the cutoff")
    found = _Counts(side)
    starts = _Starts(side)
    for block in _blocks(side.rows, block_rows):
        found.add(side, block, training[block], starts)
    _audit_vocabulary(ts.folder / name, name, side, found)
    _audit_idf(ts.folder / name, name, side, found, rows)
    _audit_scales(name, side, found)
    return rows


class _Starts:
    """Where the next block's items and terms begin in the jagged arrays."""

    items = 0
    terms = 0

    def __init__(self, side: Side) -> None:
        self.fields = side.attribute_lengths.shape[1]


class _Counts:
    """What the training rows of the written arrays hold: rows per id, titles per term, moments of dense columns."""

    def __init__(self, side: Side) -> None:
        self.ids = np.zeros(side.attribute_rows, np.int64)
        self.terms = np.zeros(side.text_rows, np.int64)
        self.cut_titles = 0
        columns = side.dense.shape[1]
        self.sums, self.squares, self.clipped = np.zeros(columns), np.zeros(columns), np.zeros(columns, bool)

    def add(self, side: Side, block: slice, training: npt.NDArray[np.bool_], starts: _Starts) -> None:
        lengths = side.attribute_lengths[block].sum(axis=1, dtype=np.int64)
        end = starts.items + int(lengths.sum())
        self.ids += _rows_with(side.attribute_values[starts.items : end], lengths, training, len(self.ids))
        starts.items = end
        lengths = side.text_lengths[block].astype(np.int64)
        end = starts.terms + int(lengths.sum())
        self.terms += _rows_with(side.text_values[starts.terms : end], lengths, training, len(self.terms))
        starts.terms = end
        self.cut_titles += int(np.count_nonzero(training & (lengths >= MAXIMUM_TERMS)))
        dense = side.dense[block][training].astype(np.float64)
        self.sums += dense.sum(axis=0)
        self.squares += (dense**2).sum(axis=0)
        self.clipped |= (np.abs(dense) >= CLIP).any(axis=0)


def _rows_with(
    values: npt.NDArray[np.int32], lengths: npt.NDArray[np.int64], training: npt.NDArray[np.bool_], size: int
) -> npt.NDArray[np.int64]:
    """(size,) in how many training rows each id occurs."""
    if not size:
        return np.zeros(0, np.int64)
    row = np.repeat(np.arange(len(lengths)), lengths)
    seen = training[row]
    keys = np.sort(row[seen] * np.int64(size) + values[seen])
    first = np.ones(len(keys), bool)
    first[1:] = keys[1:] != keys[:-1]
    return np.bincount(keys[first] % size, minlength=size)


def _audit_vocabulary(folder: Path, name: str, side: Side, found: _Counts) -> None:
    table = pq.ParquetFile(folder / "vocabulary.parquet").read()
    base = {attribute["name"]: attribute["base"] for attribute in side.schema["attributes"]}
    ids = np.array([base[f] for f in table["field"].to_pylist()], np.int64) + table["id"].to_numpy()
    stated = table["rows"].to_numpy()
    _refuse(
        found.ids[ids] != stated,
        f"{name} values were counted on other rows than the training rows",
        lambda i: f"{table['field'][i]} {table['value'][i].as_py()!r}: {stated[i]} stated, {found.ids[ids[i]]} found",
    )


def _audit_idf(folder: Path, name: str, side: Side, found: _Counts, rows: int) -> None:
    """Invert the IDF to titles per term. Long titles were cut, so up to that many more may have been counted."""
    idf = np.asarray(read(folder / "idf.npy"), np.float64)
    titles = np.rint((1 + rows) / np.exp(idf - 1) - 1)
    slack = np.floor(1e-5 * titles)  # of float32
    wrong = (titles < found.terms - slack) | (titles > found.terms + found.cut_titles + slack)
    _refuse(
        wrong,
        f"{name} terms have an IDF of other rows than the training rows",
        lambda i: f"term {i}: {titles[i]:.0f} titles by its IDF, {found.terms[i]} found",
    )


def _audit_scales(name: str, side: Side, found: _Counts) -> None:
    """A column scaled on the training rows has mean 0 there; clipped columns cannot be told from outside."""
    rows = max(side.schema["fit"]["rows"], 1)
    values = np.array([not column.endswith(" is missing") for column in side.schema["dense_columns"]], bool)
    mean, power = found.sums / rows, found.squares / rows
    wrong = values & ~found.clipped & ((np.abs(mean) > 1e-3) | (power > 1.001))
    _refuse(
        wrong,
        f"{name} columns are scaled on other rows than the training rows",
        lambda i: f"{side.schema['dense_columns'][i]}: mean {mean[i]:.4f}, mean square {power[i]:.4f} over them",
    )


def _known_by(
    table_company: npt.NDArray[np.integer],
    table_known_at: npt.NDArray[np.integer],
    at: npt.NDArray[np.integer],
    company: npt.NDArray[np.integer],
    moment: npt.NDArray[np.integer],
) -> npt.NDArray[np.bool_]:
    """Whether row `at` of a table exists, is the company's, and was known by the moment."""
    exists = at < len(table_company)
    row = np.where(exists, at, 0)
    return exists & (table_company[row] == company) & (table_known_at[row] <= moment)


def _refuse(wrong: npt.NDArray[np.bool_], what: str, example: Any) -> None:
    """Raise ContractError where any is wrong; `example` puts one row into words."""
    bad = np.flatnonzero(wrong)
    if len(bad):
        raise ContractError(
            f"leak audit: {len(bad)} {what} (for example {example(int(bad[0]))})",
            hint="the training set was not kept; this is a defect of the feature tables or of bidrec",
        )


def _blocks(rows: int, block_rows: int) -> Iterator[slice]:
    return (slice(begin, min(begin + block_rows, rows)) for begin in range(0, rows, block_rows))


def _moment(seconds: Any) -> str:
    return f"{np.datetime64(int(seconds), 's')}Z"
