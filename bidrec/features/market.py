"""What became known of bids since the last build, as arrays; and what of the past is needed to go on from there.

Reads   lake_bid, the feature tables notice and company_state, through market.sql
Writes  nothing; bidrec.features.company makes the companies' tables of it

Notices and companies are numbered in their own order (published_at, notice_id; company_id) among those that are needed,
words in the order of their text: in whatever number two things are compared, the answer is that of the things.
"""

from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.integer]

STATE_TYPES = {
    "company_id": "VARCHAR",
    "known_at": "TIMESTAMPTZ",
    **dict.fromkeys(
        ("bids", "wins", "outcomes", "valued", "value_sum", "value_squares", "first", "last_bid"), "BIGINT"
    ),
    "decayed": "DOUBLE",
    **dict.fromkeys(("notices", "buyers", "places", "won_buyers"), "VARCHAR[]"),
    "won_signs": "TINYINT[]",
}
"""What the next build goes on from: a company's running numbers, the notices of its newest bids (oldest first), the
buyers and places it has bid to (in order of the first bid), its last turns at buyers: won (+1), or not after all (-1).
"""
NUMBERS = [name for name, kind in STATE_TYPES.items() if kind in ("BIGINT", "DOUBLE")]


@dataclass(frozen=True)
class Jagged:
    """Lists of numbers: those of row i are values[offsets[i]:offsets[i + 1]]."""

    offsets: npt.NDArray[np.int64]
    values: npt.NDArray[np.int32]


@dataclass(frozen=True)
class Coded:
    """A column of text as numbers in the order of the text; -1 is NULL."""

    codes: npt.NDArray[np.int32]
    words: pa.StringArray


@dataclass(frozen=True)
class Events:
    """All (E,), sorted by (company, known, notice): a bid that became known, or an outcome that was corrected."""

    company: npt.NDArray[np.int32]
    notice: npt.NDArray[np.int32]
    known: npt.NDArray[np.int64]
    """Microseconds since the epoch, UTC."""
    place: npt.NDArray[np.int64]
    """Row of the bid among the bidders of all notices; -1: no bid, a correction."""
    outcomes: npt.NDArray[np.int8]
    """By how much it changes the number of bids with a known outcome."""
    wins: npt.NDArray[np.int8]

    def part(self, rows: slice) -> "Events":
        return Events(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Past:
    """What was known of the companies before: one row per company of the market, zeros for one without a past."""

    numbers: dict[str, Ints | npt.NDArray[np.float64]]
    bids: Events
    """Their newest bids, as far back as any feature looks."""
    buyers: Jagged
    places: Jagged
    won_buyers: Jagged
    won_signs: Jagged


@dataclass(frozen=True)
class Market:
    """N notices, C companies, B bidders (of all bids on those notices, sorted by notice, known, company)."""

    events: Events
    past: Past
    company_ids: pa.StringArray
    notice_ids: pa.StringArray
    buyer: Coded
    place: Coded
    category: Coded
    value_band: Coded
    log_value: npt.NDArray[np.int64]
    """(N,) ten-thousandths; -1: not stated."""
    terms: Jagged
    """Of each notice's title, the first words."""
    term_words: pa.StringArray
    bidder_company: npt.NDArray[np.int32]
    bidder_begin: npt.NDArray[np.int64]
    """(N + 1,) where the bidders of each notice begin."""
    bidder_field: npt.NDArray[np.int32]
    """(B,) how many bidders of the notice were known when this one was, itself included."""


def read_market(connection: duckdb.DuckDBPyConnection) -> Market:
    """The arrays of what market.sql has made."""
    facts = connection.execute("FROM fact ORDER BY rowid").to_arrow_table()
    state = connection.execute(
        f"SELECT company.rowid::INTEGER AS company, {', '.join(STATE_TYPES)} "
        "FROM held_state JOIN company USING (company_id) ORDER BY company"
    ).to_arrow_table()
    companies = connection.execute("SELECT company_id FROM company ORDER BY rowid").to_arrow_table()
    buyer, bought, won = _coded(facts["buyer_id"], _flat(state["buyers"]), _flat(state["won_buyers"]))
    place, placed = _coded(facts["place"], _flat(state["places"]))
    (term,) = _coded(_flat(facts["terms"]))
    bidder = _columns(connection, "SELECT notice, company, known FROM bidder ORDER BY rowid")
    begin = np.searchsorted(bidder["notice"], np.arange(len(facts) + 1))
    return Market(
        events=_events(connection),
        past=_past(connection, state, len(companies), bought.codes, placed.codes, won.codes),
        company_ids=_whole(companies["company_id"]),
        notice_ids=_whole(facts["notice_id"]),
        buyer=buyer,
        place=place,
        category=_coded(facts["category"])[0],
        value_band=_coded(facts["value_band"])[0],
        log_value=pc.fill_null(facts["log_value"], -1).to_numpy(),
        terms=Jagged(_offsets(facts["terms"]), term.codes),
        term_words=term.words,
        bidder_company=bidder["company"],
        bidder_begin=begin,
        bidder_field=_field(bidder["notice"], bidder["known"], begin),
    )


def _events(connection: duckdb.DuckDBPyConnection) -> Events:
    columns = _columns(
        connection,
        """
        SELECT company, notice, known, rowid AS place,
            (won IS NOT NULL)::TINYINT AS outcomes, coalesce(won, false)::TINYINT AS wins
        FROM bidder WHERE known > epoch_us(getvariable('known_after'))
        UNION ALL
        SELECT company, notice, known, -1,
            (won IS NOT NULL)::TINYINT - (won_before IS NOT NULL)::TINYINT,
            coalesce(won, false)::TINYINT - coalesce(won_before, false)::TINYINT
        FROM correction
        ORDER BY company, known, notice
        """,
    )
    return Events(**columns)


def _past(
    connection: duckdb.DuckDBPyConnection, state: pa.Table, companies: int, buyer: Ints, place: Ints, won: Ints
) -> Past:
    rows = state["company"].to_numpy()
    numbers = {}
    for name in NUMBERS:
        column = state[name].to_numpy()
        numbers[name] = np.zeros(companies, column.dtype)
        numbers[name][rows] = column
    bids = _columns(
        connection,
        """
        SELECT bidder.company, bidder.notice, known, bidder.rowid AS place, 0::TINYINT AS outcomes, 0::TINYINT AS wins
        FROM (SELECT company_id, unnest(notices) AS notice_id FROM held_state) AS held
        JOIN company USING (company_id) JOIN fact USING (notice_id)
        JOIN bidder ON bidder.company = company.rowid AND bidder.notice = fact.rowid
        ORDER BY bidder.company, known, bidder.notice
        """,
    )

    def jagged(name: str, values: Ints) -> Jagged:
        lengths = np.zeros(companies, np.int64)
        lengths[rows] = pc.list_value_length(state[name]).to_numpy()
        return Jagged(np.concatenate([[0], np.cumsum(lengths)]), values.astype(np.int32))

    signs = _flat(state["won_signs"]).to_numpy(zero_copy_only=False)
    return Past(
        numbers,
        Events(**bids),
        jagged("buyers", buyer),
        jagged("places", place),
        jagged("won_buyers", won),
        jagged("won_signs", signs),
    )


def _field(notice: Ints, known: Ints, begin: Ints) -> npt.NDArray[np.int32]:
    """(B,) bidders of the notice known by the time of each; those of one moment count together."""
    if not len(notice):
        return np.zeros(0, np.int32)
    last = np.concatenate([(notice[1:] != notice[:-1]) | (known[1:] != known[:-1]), [True]])
    ends = np.flatnonzero(last) + 1
    end = np.repeat(ends, np.diff(ends, prepend=0))
    return (end - begin[notice]).astype(np.int32)


def _coded(*columns: pa.Array | pa.ChunkedArray) -> tuple[Coded, ...]:
    """Columns of text in one numbering, that of the sorted words."""
    whole = [_whole(column) for column in columns]
    encoded = pa.concat_arrays(whole).dictionary_encode()
    order = pc.sort_indices(encoded.dictionary)
    number = np.empty(len(order) + 1, np.int32)
    number[order.to_numpy()] = np.arange(len(order), dtype=np.int32)
    number[-1] = -1
    codes = number[pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)]
    words = encoded.dictionary.take(order)
    ends = np.cumsum([len(column) for column in whole])
    return tuple(Coded(codes[end - len(column) : end], words) for column, end in zip(whole, ends, strict=True))


def _columns(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    return {name: np.ma.getdata(values) for name, values in connection.execute(sql).fetchnumpy().items()}


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return _whole(pc.list_flatten(column))


def _offsets(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Where the list of each row begins; NULL is an empty one."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
