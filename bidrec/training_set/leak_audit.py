"""The leak audit: what was written, held against time once more, by another route than it was made.

Reads   runs/ID/training_set/ as plain arrays, in blocks
Writes  nothing; its counts go into the manifest

The set is made by binary searches over packed keys and by aggregates over tables; the audit only compares
neighbouring numbers of the finished arrays, sorts the log's bids once more and counts ids. One violation stops the job:
a model that has seen the future looks better than it is, and nobody notices until it is used.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from bidrec.errors import ContractError
from bidrec.operations import log
from bidrec.operations.progress import Counted
from bidrec.storage.sealed import read_json, read_manifest
from bidrec.training_set.arrays import Side, TrainingSet, read
from bidrec.training_set.encoders import CLIP, IS_MISSING
from bidrec.training_set.splits import day_of
from bidrec.training_set.text import MAXIMUM_TERMS


def refuse(wrong: npt.NDArray[np.bool_], what: str, example: Any) -> None:
    """Raise ContractError where any is wrong; `example` puts one row into words."""
    bad = np.flatnonzero(wrong)
    if len(bad):
        raise ContractError(
            f"leak audit: {len(bad)} {what} (for example {example(int(bad[0]))})",
            hint="the training set was not kept; this is a defect of the feature tables or of bidrec",
        )


def blocks(rows: int, block_rows: int) -> Iterator[slice]:
    return (slice(begin, min(begin + block_rows, rows)) for begin in range(0, rows, block_rows))


def audit_fit(
    ts: TrainingSet, name: str, known_at: npt.NDArray[np.int64], block_rows: int, audited: Callable[[int], None]
) -> int:
    """Everything fitted on a side was fitted on its rows before the cutoff, all of them and no other. `audited` is told
    of the rows as they are done, so many at a time."""
    side: Side = getattr(ts, name)
    stated = side.schema["fit"]
    training = known_at < ts.cutoff
    rows = int(np.count_nonzero(training))
    if stated["before"] != ts.cutoff or (stated["latest"] is not None and stated["latest"] >= ts.cutoff):
        raise ContractError(f"{name}: fitted on rows up to {stated['latest']}, but training ends at {ts.cutoff}")
    if stated["rows"] != rows:
        raise ContractError(f"{name}: fitted on {stated['rows']} rows, but {rows} were known before the cutoff")
    found = _Counts(side)
    for block in blocks(side.rows, block_rows):
        found.add(side, block, training[block])
        audited(block.stop - block.start)
    _audit_vocabulary(ts.folder / name, name, side, found)
    _audit_idf(ts.folder / name, name, found, rows)
    _audit_scales(name, side, found)
    return rows


class _Counts:
    """What the training rows of the written arrays hold: rows per id, titles per term, moments of dense columns."""

    def __init__(self, side: Side) -> None:
        self.ids = np.zeros(side.attribute_rows, np.int64)
        self.terms = np.zeros(side.text_rows, np.int64)
        self.cut_titles = 0
        self._items, self._terms = 0, 0  # where the next block's begin in the jagged arrays
        columns = side.dense.shape[1]
        self.sums, self.squares, self.clipped = np.zeros(columns), np.zeros(columns), np.zeros(columns, bool)

    def add(self, side: Side, block: slice, training: npt.NDArray[np.bool_]) -> None:
        """The next block of the side's rows, and which of them are training rows."""
        lengths = side.attribute_lengths[block].sum(axis=1, dtype=np.int64)
        end = self._items + int(lengths.sum())
        self.ids += _rows_with(side.attribute_values[self._items : end], lengths, training, len(self.ids))
        self._items = end
        lengths = side.text_lengths[block].astype(np.int64)
        end = self._terms + int(lengths.sum())
        self.terms += _rows_with(side.text_values[self._terms : end], lengths, training, len(self.terms))
        self._terms = end
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
    refuse(
        found.ids[ids] != stated,
        f"{name} values were counted on other rows than the training rows",
        lambda i: f"{table['field'][i]} {table['value'][i].as_py()!r}: {stated[i]} stated, {found.ids[ids[i]]} found",
    )


def _audit_idf(folder: Path, name: str, found: _Counts, rows: int) -> None:
    """Invert the IDF to titles per term. Long titles were cut, so up to that many more may have been counted."""
    idf = np.asarray(read(folder / "idf.npy"), np.float64)
    titles = np.rint((1 + rows) / np.exp(idf - 1) - 1)
    slack = np.floor(1e-5 * titles)  # of float32
    wrong = (titles < found.terms - slack) | (titles > found.terms + found.cut_titles + slack)
    refuse(
        wrong,
        f"{name} terms have an IDF of other rows than the training rows",
        lambda i: f"term {i}: {titles[i]:.0f} titles by its IDF, {found.terms[i]} found",
    )


def _audit_scales(name: str, side: Side, found: _Counts) -> None:
    """A column scaled on the training rows has mean 0 there; clipped columns cannot be told from outside."""
    rows = max(side.schema["fit"]["rows"], 1)
    values = np.array([not column.endswith(IS_MISSING) for column in side.schema["dense_columns"]], bool)
    mean, power = found.sums / rows, found.squares / rows
    wrong = values & ~found.clipped & ((np.abs(mean) > 1e-3) | (power > 1.001))
    refuse(
        wrong,
        f"{name} columns are scaled on other rows than the training rows",
        lambda i: f"{side.schema['dense_columns'][i]}: mean {mean[i]:.4f}, mean square {power[i]:.4f} over them",
    )


BLOCK_ROWS = 131_072
BLOCKS_A_READING = 8
"""Blocks of pairs that are held against the log at a time: each time all of it is read, 21 times for 21 M pairs."""


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
    fitted = read_json(folder / "schema.json")["fitted"]
    times = {"notice": ts.notice_published_at, "profile": ts.profile_known_at, "version": ts.version_known_at}
    whole = 2 * len(ts.pair_notice) + len(ts.version_company) + fitted * sum(map(len, times.values()))
    audited = Counted(log.get("training_set"), "auditing", whole)
    for rows in blocks(len(ts.version_company), block_rows):
        _audit_versions(ts, rows)
        audited(rows.stop - rows.start)
    for rows in blocks(len(ts.pair_notice), block_rows):
        _audit_pairs(ts, rows)
        audited(rows.stop - rows.start)
    _audit_bids(ts, BLOCKS_A_READING * block_rows, audited)
    rows_fitted = sum(audit_fit(ts, name, times[name], block_rows, audited) for name in times) if fitted else 0
    counts = {"pairs": len(ts.pair_notice), "versions": len(ts.version_company), "fitted_rows": rows_fitted}
    return counts | {"violations": 0}


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
    for name, keys, said in (
        ("notice", (ts.notice_published_at,), "publication"),
        ("log", (ts.log_company, ts.log_known_at), "company and time"),
        ("profile", (ts.profile_company, ts.profile_known_at), "company and time"),
        ("version", (ts.version_company, ts.version_known_at), "company and time"),
        ("pair", (ts.pair_notice, ts.pair_company), "notice and company"),
    ):
        for rows in blocks(len(keys[0]), block_rows):
            around = slice(max(rows.start - 1, 0), rows.stop)
            _audit_order(f"{name} rows are out of order by {said}", [key[around] for key in keys], around.start)


def _audit_limits(ts: TrainingSet) -> None:
    """What is said of who may bid is said by a notice or a profile of the set, whose time the other rules look at."""
    for name, number in (("notice/limits", ts.notice_limits), ("profile/standing", ts.profile_standing)):
        stated = pq.ParquetFile(ts.folder / f"{name}.parquet").read().to_pylist()
        if len(number) and not 0 <= int(number.min()) <= int(number.max()) < len(stated):
            raise ContractError(f"training set: a {name} lies outside [0, {len(stated)})", hint="build it again")
        stray = np.bincount(number, minlength=len(stated)) == 0
        stray[0] = any(stated[0].values())
        refuse(stray, f"rows of {name} belong to nothing in the set", stated.__getitem__)


def _audit_order(what: str, keys: list[npt.NDArray[np.integer]], first_row: int) -> None:
    """No row is less than the one before it, by the first key and, where that is the same, by the next."""
    steps = [np.diff(key) for key in keys]
    unsorted, same = np.zeros(len(steps[0]), bool), np.ones(len(steps[0]), bool)
    for step in steps:
        unsorted |= same & (step < 0)
        same &= step == 0
    refuse(unsorted, what, lambda i: f"row {first_row + i + 1}")


def _audit_versions(ts: TrainingSet, rows: slice) -> None:
    """A version's profile and history are its own company's, were known by its time, and leave out nothing known."""
    company, known_at = ts.version_company[rows], ts.version_known_at[rows]

    def version(i: int) -> str:
        return f"version {rows.start + i} of company row {company[i]}, known {day_of(int(known_at[i]))}"

    profile = ts.version_profile[rows]
    has = profile >= 0
    if len(ts.profile_company):
        of = np.where(has, profile, 0)
        refuse(has & (ts.profile_company[of] != company), "versions point at another company's profile", version)
        refuse(has & (ts.profile_known_at[of] > known_at), "versions point at a profile known later", version)
        later = np.where(has, profile + 1, np.searchsorted(ts.profile_company, company))
        refuse(
            _known_by(ts.profile_company, ts.profile_known_at, later, company, known_at),
            "versions miss a newer profile",
            version,
        )
    begin, end = ts.version_log_begin[rows], ts.version_log_end[rows]
    refuse(begin > end, "versions have a history that ends before it begins", version)
    holds = end > begin
    if not len(ts.log_company):
        return
    first, last = np.where(holds, begin, 0), np.where(holds, end - 1, 0)
    # The log is sorted by company and time, so a stretch is sound if its two ends are.
    other = (ts.log_company[first] != company) | (ts.log_company[last] != company)
    refuse(holds & other, "versions have bids of another company in their history", version)
    refuse(holds & (ts.log_known_at[last] > known_at), "versions have a bid in their history known later", version)
    before = np.maximum(begin - 1, 0)
    refuse((begin > 0) & (ts.log_company[before] == company), "versions miss their company's first bids", version)
    refuse(
        _known_by(ts.log_company, ts.log_known_at, end, company, known_at), "versions miss bids known by then", version
    )


def _audit_pairs(ts: TrainingSet, rows: slice) -> None:
    """A pair's version is its own company's, was known when the notice was published, and is the newest such.

    What the version points at was known by its time, which _audit_versions has seen to.
    """
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
    has = version >= 0
    of = np.where(has, version, 0)
    refuse(has & (ts.version_company[of] != company), "pairs use another company's version", pair)
    refuse(has & (ts.version_known_at[of] > as_of), "pairs use a version known after their notice's publication", pair)
    following = np.where(has, version + 1, np.searchsorted(ts.version_company, company))
    stale = _known_by(ts.version_company, ts.version_known_at, following, company, as_of)
    refuse(stale, "pairs do not use the newest version known by then", pair)


def _audit_bids(ts: TrainingSet, pairs_at_once: int, audited: Counted) -> None:
    """The pairs are the log's bids that became public after their notice did, each once and with its own time.

    The log stands by company, so that all of it is read for each stretch of notices.
    """
    begin, done = 0, -1
    while done < ts.notice.rows - 1:
        last = ts.notice.rows - 1
        if begin + pairs_at_once < len(ts.pair_notice):
            last = int(ts.pair_notice[begin + pairs_at_once - 1])
        end = int(np.searchsorted(ts.pair_notice, last, side="right"))
        pairs = np.stack([ts.pair_notice[begin:end], ts.pair_company[begin:end], ts.pair_known_at[begin:end]])
        _audit_stretch(pairs, _late_bids(ts, done, last), begin)
        audited(end - begin)
        begin, done = end, last


def _late_bids(ts: TrainingSet, after: int, until: int) -> npt.NDArray[np.int64]:
    """(3, bids) notice, company and known_at of bids on the notice rows (after, until], in the order of pairs."""
    bids = np.flatnonzero((ts.log_notice > after) & (ts.log_notice <= until))
    notice, company, known_at = ts.log_notice[bids], ts.log_company[bids], ts.log_known_at[bids]
    order = np.lexsort((known_at, company, notice))
    order = order[known_at[order] > ts.notice_published_at[notice[order]]]
    return np.stack([notice[order], company[order], known_at[order]])


def _audit_stretch(pairs: npt.NDArray[np.int64], bids: npt.NDArray[np.int64], first_pair: int) -> None:
    """Refuse pairs (3, M) that are not the bids (3, M)."""
    both = min(pairs.shape[1], bids.shape[1])
    wrong = np.ones(max(pairs.shape[1], bids.shape[1]), bool)
    wrong[:both] = (pairs[:, :both] != bids[:, :both]).any(axis=0)

    def told(of: npt.NDArray[np.int64], i: int) -> str:
        if i >= of.shape[1]:
            return "none"
        return f"notice row {of[0, i]}, company row {of[1, i]}, known {_moment(of[2, i])}"

    refuse(
        wrong,
        "pairs are not the bid of the log in their place",
        lambda i: f"pair {first_pair + i}: {told(pairs, i)}, not {told(bids, i)}",
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


def _moment(seconds: Any) -> str:
    return f"{np.datetime64(int(seconds), 's')}Z"
