"""Titles as weighted bags of hashed terms, for Korean and English alike, without a loop over titles.

Reads   the text fields of features/
Writes  <side>/text.{values,weights,lengths}.npy, <side>/idf.npy

A term is a word, two words in a row, or two or three Hangul syllables in a row inside a word (Korean glues particles
to its nouns and leaves spaces out, so words alone miss that 도로포장공사 and 도로 포장 are one thing). Case is
folded, digits all read as 0, composed and decomposed Hangul agree (NFKC).

A whole block of titles becomes one array of code points. With B odd, the hash of a stretch is the difference of two
prefix sums of code_point * B^i, times B^-begin (mod 2^64): every n-gram costs two look-ups. The hash is arithmetic
alone, so it is the same in every process, version and machine.
"""

import unicodedata
from collections.abc import Iterator
from functools import cache

import numpy as np
import numpy.typing as npt

MAXIMUM_TERMS = 64
BUCKETS = 65_536
AT_ONCE = 1 << 18
"""Bytes of titles hashed at once: their code points then stay in the processor's cache, however long a title is."""

_SEPARATOR, _LETTER, _HANGUL = 0, 1, 2
_BASE = 0x9E3779B97F4A7C15
_WORD, _WORD_PAIR, _SYLLABLES = 1, 2, 3

Rows = npt.NDArray[np.int64]
Buckets = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


def stretches(lengths: npt.NDArray[np.integer]) -> Iterator[slice]:
    """Titles of these lengths (R,) in stretches of AT_ONCE bytes at most, or of a single title."""
    ends = np.cumsum(lengths + 1)  # an empty title is something too
    begin = 0
    while begin < len(lengths):
        past = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, past + AT_ONCE, side="right")))
        yield slice(begin, end)
        begin = end


def hashed_terms(titles: list[str | None], buckets: int = BUCKETS) -> tuple[Rows, Buckets]:
    """All terms of all titles, with repetitions: (row, bucket) of each, in no particular order."""
    text = unicodedata.normalize("NFKC", "\n".join((t or "").replace("\n", " ") for t in titles)).casefold() + "\n"
    points = np.frombuffer(text.encode("utf-32-le", "replace"), dtype="<u4")
    kind = _kinds()[np.minimum(points, 0xFFFF)]
    row = np.cumsum(points == ord("\n")) - (points == ord("\n"))
    digit = _digits()[np.minimum(points, 0xFFFF)]
    stretch = _prefix_hash(np.where(digit, ord("0"), points))

    inside = np.concatenate([[False], kind != _SEPARATOR, [False]])
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    begin, end = edges[::2], edges[1::2]
    words = stretch(begin, end)
    follows = row[begin[1:]] == row[begin[:-1]]
    pairs = _mixed(words[:-1]) + words[1:]
    found = [(row[begin], _mixed(words, _WORD)), (row[begin[1:]][follows], _mixed(pairs[follows], _WORD_PAIR))]
    hangul = np.concatenate([[0], np.cumsum(kind == _HANGUL)])
    for length in (2, 3):
        at = np.flatnonzero(hangul[length:] - hangul[:-length] == length)
        found.append((row[at], _mixed(stretch(at, at + length), _SYLLABLES)))
    rows = np.concatenate([r for r, _ in found])
    return rows, (np.concatenate([h for _, h in found]) % np.uint64(buckets)).astype(np.int64)


def counted_terms(titles: list[str | None], buckets: int = BUCKETS) -> tuple[Rows, Buckets, npt.NDArray[np.int64]]:
    """Distinct terms of each title, sorted by (row, bucket), and how often each occurs there."""
    rows, hashed = hashed_terms(titles, buckets)
    keys, counts = np.unique(rows * buckets + hashed, return_counts=True)
    return keys // buckets, keys % buckets, counts


class DocumentFrequency:
    """In how many training titles each bucket occurs."""

    def __init__(self, buckets: int) -> None:
        self.counts = np.zeros(buckets, dtype=np.int64)
        self.titles = 0

    def add(self, titles: list[str | None]) -> None:
        _, hashed, _ = counted_terms(titles, len(self.counts))
        self.counts += np.bincount(hashed, minlength=len(self.counts))
        self.titles += len(titles)

    def idf(self) -> npt.NDArray[np.float32]:
        """(buckets,) ln((1 + titles) / (1 + titles with it)) + 1: a term never seen weighs most."""
        return (np.log((1 + self.titles) / (1 + self.counts)) + 1).astype(np.float32)


def weighted_terms(
    titles: list[str | None], idf: npt.NDArray[np.float32]
) -> tuple[Buckets, npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """The terms of each title: buckets (nnz,), weights (nnz,), terms per title (rows,).

    A weight is (1 + ln count) * idf; the MAXIMUM_TERMS heaviest of a title are kept and divided by their L2 norm.
    """
    row, hashed, count = counted_terms(titles, len(idf))
    weight = (1 + np.log(count)) * idf[hashed].astype(np.float64)
    row, hashed, weight = _heaviest(row, hashed, weight)
    squares = np.bincount(row, weights=weight**2, minlength=len(titles))
    lengths = np.bincount(row, minlength=len(titles)).astype(np.int32)
    return hashed, (weight / np.sqrt(squares[row])).astype(np.float32), lengths


def _heaviest(
    row: Rows, hashed: Buckets, weight: npt.NDArray[np.float64]
) -> tuple[Rows, Buckets, npt.NDArray[np.float64]]:
    """Drop what is beyond MAXIMUM_TERMS in a row; the rest stays sorted by (row, bucket)."""
    lengths = np.bincount(row) if len(row) else np.zeros(0, np.int64)
    if not len(lengths) or lengths.max() <= MAXIMUM_TERMS:
        return row, hashed, weight
    order = np.lexsort((hashed, -weight, row))
    rank = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    kept = np.sort(order[rank < MAXIMUM_TERMS])
    return row[kept], hashed[kept], weight[kept]


class _prefix_hash:
    """Hashes of any stretches [begin, end) of one array of code points."""

    def __init__(self, points: npt.NDArray[np.integer]) -> None:
        size = len(points)
        self._inverse = _powers(pow(_BASE, -1, 2**64), size + 1)
        self._sums = np.zeros(size + 1, dtype=np.uint64)
        np.cumsum(points.astype(np.uint64) * _powers(_BASE, size), out=self._sums[1:])

    def __call__(self, begin: npt.NDArray[np.integer], end: npt.NDArray[np.integer]) -> Hashes:
        return (self._sums[end] - self._sums[begin]) * self._inverse[begin]


def _powers(base: int, size: int) -> Hashes:
    powers = np.full(size, base, dtype=np.uint64)
    powers[:1] = 1
    return np.cumprod(powers)


def _mixed(hashes: Hashes, salt: int = 0) -> Hashes:
    """splitmix64: every bit of the result depends on every bit of the hash; `salt` keeps kinds of terms apart."""
    x = hashes + np.uint64((salt * 0x9E3779B97F4A7C15) % 2**64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@cache
def _kinds() -> npt.NDArray[np.int8]:
    """What each code point is; those beyond the basic plane (emoji, rare ideographs) count as its last: separators."""
    kinds = np.zeros(0x10000, dtype=np.int8)
    for point in range(0x10000):
        if unicodedata.category(chr(point))[0] in "LMN":
            kinds[point] = _LETTER
    kinds[0xAC00:0xD7A4] = _HANGUL
    return kinds


@cache
def _digits() -> npt.NDArray[np.bool_]:
    return np.array([unicodedata.category(chr(point)) == "Nd" for point in range(0x10000)])
