"""An invented training set in the shape of KONEPS, for benchmarks/training.py: written as arrays, in bidrec's format.

Writes  FOLDER/: at scale 1, 2 M notices, 300 k companies, 20 M pairs over ten years

A notice has 140 numbers and 10 categories, a company 12 and 8. Both have a trade in a region, and four bids in five are
by companies of the notice's own; the others are anybody's. How much a company bids is skewed (sigma of ln(bids) 1.2),
and so are the bidders of a notice, ten on average. A company's numbers tell of its activity, so there is something to
learn: who is alike and busy.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bidrec.storage.sealed import read_manifest, write_json, write_manifest
from bidrec.storage.whole import whole_folder
from bidrec.training_set.arrays import Growing

NOTICES, COMPANIES, BIDDERS = 2_000_000, 300_000, 10
NOTICE_SIZES = (20, 60, 30_000, 400, 2_000, 50, 12, 8, 300, 1_200)
"""Rows of the notice's vocabularies: region, trade, then what has no bearing on who bids (buyers among them)."""
COMPANY_SIZES = (20, 60, 250, 40, 8, 1_000, 16, 5)
REGIONS, TRADES = 20, 60
DAY, YEARS, OPENING = 86_400, 10, 14
_BLOCK = 1 << 17

Ints = npt.NDArray[np.int64]


def written(folder: Path, scale: float, seed: int = 1) -> Path:
    """The folder with the set of this scale; it is made where it is not there yet."""
    target = folder / f"scale-{scale:g}"
    if read_manifest(target) is None:
        with whole_folder(target) as staging:
            _write(staging, int(NOTICES * scale), int(COMPANIES * scale), np.random.default_rng(seed))
    return target


def _write(folder: Path, notices: int, companies: int, rng: np.random.Generator) -> None:
    published = np.linspace(0, YEARS * 365 * DAY, notices, endpoint=False).astype(np.int64)
    kind_N, kind_C = (rng.zipf(1.3, count) % (REGIONS * TRADES) for count in (notices, companies))
    busy_C = np.exp(1.2 * rng.standard_normal(companies))
    pair_notice, pair_company = _bids(kind_N, kind_C, busy_C, rng)
    known = published + OPENING * DAY
    _side(folder / "notice", 140, NOTICE_SIZES, kind_N, np.zeros(notices), rng)
    _side(folder / "profile", 12, COMPANY_SIZES, kind_C, np.log(busy_C), rng)
    _columns(folder / "notice", published_at=published, limits=np.zeros(notices, np.int32))
    every = np.arange(companies, dtype=np.int32)
    _columns(folder / "profile", company=every, known_at=np.full(companies, -DAY), standing=np.zeros_like(every))
    versions = _history(folder, pair_notice, pair_company, known, published)
    _side(folder / "version", 2, (), np.zeros(versions, np.int64), np.zeros(versions), rng)
    end = int(published[-1]) + DAY
    split = {"validation_from": end - 75 * DAY, "cutoff": end - 30 * DAY, "test_before": end}
    rows = {"company": companies, "notice": notices, "pairs": len(pair_notice)}
    shapes = {"notice": (140, NOTICE_SIZES), "profile": (12, COMPANY_SIZES), "version": (2, ())}
    write_json(folder / "schema.json", {side: _schema(*shape) for side, shape in shapes.items()})
    write_manifest(folder, kind="training_set", rows=rows, split=split)


def _bids(kind_N: Ints, kind_C: Ints, busy_C: npt.NDArray[np.float64], rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Distinct (notice, company) pairs in their order."""
    bidders_N = np.ceil(np.exp(rng.normal(np.log(BIDDERS) - 0.18, 0.7, len(kind_N)))).astype(np.int64)
    notice = np.repeat(np.arange(len(kind_N)), bidders_N)
    by_kind = np.argsort(kind_C, kind="stable")
    share = np.concatenate([[0.0], np.cumsum(busy_C[by_kind])])
    begin = share[np.searchsorted(kind_C[by_kind], kind_N)]
    end = share[np.searchsorted(kind_C[by_kind], kind_N, side="right")]
    everybody = (rng.random(len(notice)) < 0.2) | (begin == end)[notice]
    low, high = np.where(everybody, 0.0, begin[notice]), np.where(everybody, share[-1], end[notice])
    drawn = np.searchsorted(share, low + rng.random(len(notice)) * (high - low), side="right") - 1
    company = by_kind[np.minimum(drawn, len(by_kind) - 1)]
    pairs = np.unique(notice * len(kind_C) + company)
    return pairs // len(kind_C), pairs % len(kind_C)


def _history(folder: Path, pair_notice: Ints, pair_company: Ints, known: Ints, published: Ints) -> int:
    """The log, a version of each company at the beginning and after each bid, and the pairs. Returns the versions."""
    companies = int(pair_company.max()) + 1 if len(pair_company) else 0
    order = np.argsort(pair_company, kind="stable")  # pairs ascend in time
    log_company, log_notice = pair_company[order], pair_notice[order]
    first = np.searchsorted(log_company, np.arange(companies + 1))
    _columns(
        folder / "log",
        company=log_company.astype(np.int32),
        notice=log_notice.astype(np.int32),
        known_at=known[log_notice],
    )
    # Version v of company c stands at first[c] + c + v, for v bids known.
    company = np.repeat(np.arange(companies), np.diff(first) + 1)
    begin = first[company]
    end = np.arange(len(company)) - company
    started = end == begin
    last = np.maximum(end - 1, 0)
    _columns(
        folder / "version",
        company=company.astype(np.int32),
        known_at=np.where(started, -DAY, known[log_notice[last]]),
        profile=company.astype(np.int32),
        log_begin=begin,
        log_end=end,
    )
    # Publications ascend evenly, so the newest notice opened by a publication is some rows before.
    opened = np.searchsorted(known, published, side="right")
    key = log_company * len(known) + log_notice
    before = np.searchsorted(key, log_company * len(known) + opened[log_notice])
    version = np.empty(len(order), np.int32)
    version[order] = before + log_company
    _columns(
        folder / "pairs",
        notice=pair_notice.astype(np.int32),
        company=pair_company.astype(np.int32),
        version=version,
        known_at=known[pair_notice],
    )
    return len(company)


def _side(
    folder: Path, dense: int, sizes: tuple[int, ...], kind: Ints, level: npt.NDArray[Any], rng: np.random.Generator
) -> None:
    bases = np.cumsum([0, *sizes])[:-1]
    with (
        Growing(folder / "dense.npy", np.float32, dense) as numbers,
        Growing(folder / "attributes.values.npy", np.int32) as values,
    ):
        for at in range(0, len(kind), _BLOCK):
            some = slice(at, at + _BLOCK)
            block = rng.standard_normal((len(kind[some]), dense), dtype=np.float32)
            block[:, 0] = level[some]
            numbers.append(block)
            values.append((_categories(kind[some], sizes, rng) + bases).ravel())
    rows = len(kind)
    _columns(
        folder,
        **{"attributes.lengths": np.ones((rows, len(sizes)), np.int32), "text.lengths": np.zeros(rows, np.int32)},
        **{"text.values": np.zeros(0, np.int32), "text.weights": np.zeros(0, np.float32)},
        ages=np.zeros((rows, 0), np.int64),
    )


def _categories(kind: Ints, sizes: tuple[int, ...], rng: np.random.Generator) -> Ints:
    """Region and trade, and skewed draws of the rest; id 0 of each stands for unknown."""
    drawn = rng.random((len(kind), len(sizes))) ** 3 * (np.array(sizes, dtype=np.int64) - 1)
    ids = drawn.astype(np.int64) + 1
    if sizes:
        ids[:, 0], ids[:, 1] = kind // TRADES % (sizes[0] - 1) + 1, kind % TRADES % (sizes[1] - 1) + 1
    return ids


def _columns(folder: Path, **arrays: npt.NDArray[Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def _schema(dense: int, sizes: tuple[int, ...]) -> dict[str, Any]:
    bases = np.cumsum([0, *sizes]).tolist()
    return {
        "dense_columns": [f"number_{i}" for i in range(dense)],
        "ages": [],
        "attributes": [
            {"name": f"field_{i}", "read": "categorical", "base": base, "size": size}
            for i, (base, size) in enumerate(zip(bases, sizes, strict=False))
        ],
        "attribute_rows": bases[-1],
        "text": [],
        "text_rows": 0,
    }
