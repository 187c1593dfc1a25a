"""The companies' tables: what each is after every moment at which something of its bids became known.

Reads   the arrays of the market (bidrec.features.market)
Writes  company_activity (numbers), company_history (lists) and company_state (what the next build goes on from)

Companies are worked through in blocks, so that memory does not grow with their number; a block is written while the
next one is made.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from bidrec.features.lists import Back, Ranked, again, lists, ranked, spread
from bidrec.features.market import NUMBERS, Coded, Events, Ints, Jagged, Market, Past
from bidrec.features.running import DAY, HALF_LIFE, WINDOWS, Rows, Seen, Sequence, decayed, within

LAST = 10
"""Bids of which the lists tell."""
RIVALS, WON, TERMS = 10, 10, 20
"""Longest lists of rivals, of buyers won at, and of words."""
RIVALS_BACK, WINS_BACK, TITLES_BACK = 20, 20, 4
"""Bids, outcomes and titles looked back over."""
FIELD = 20
"""Most bidders of a notice that count as rivals: where hundreds bid, two of them have met by chance."""
ROW_GROUP = 122_880


@dataclass(frozen=True)
class Block:
    """Companies first..end of the market, renumbered from 0, with their past and their news."""

    market: Market
    first: int
    companies: int
    events: Events
    past: Past


def write_companies(
    connection: duckdb.DuckDBPyConnection, market: Market, sql: str, folder: Path, file: str, block_events: int
) -> None:
    """Write `file` of the three tables below `folder`, sorted by company_id, known_at.

    sql: company_activity.sql. block_events: about how many bids are worked on at a time.
    """
    with ExitStack() as stack:
        writers: dict[str, pq.ParquetWriter] = {}

        def write(tables: dict[str, pa.Table]) -> None:
            for table, rows in tables.items():
                if table not in writers:
                    path = folder / table / file
                    writers[table] = stack.enter_context(pq.ParquetWriter(path, rows.schema, compression="zstd"))
                writers[table].write_table(rows, ROW_GROUP)

        with ThreadPoolExecutor(1) as writer:
            before: Future[None] | None = None
            for block in _blocks(market, block_events):
                tables = _tables(block, connection, sql)
                if before:
                    before.result()
                before = writer.submit(write, tables)
            if before:
                before.result()


def _blocks(market: Market, block_events: int) -> Iterator[Block]:
    """Cut the market between companies; at least one block, so that there is a file even where nothing happened."""
    company, companies = market.events.company, len(market.company_ids)
    cuts = company[np.arange(block_events, len(company), block_events)]
    bounds = np.unique(np.concatenate([[0], cuts, [companies]])) if companies else np.array([0, 0])
    for first, end in pairwise(bounds.tolist()):
        past = market.past
        yield Block(
            market,
            first,
            end - first,
            _of_companies(market.events, first, end),
            Past(
                {name: numbers[first:end] for name, numbers in past.numbers.items()},
                _of_companies(past.bids, first, end),
                *(_lists_of(one, first, end) for one in (past.buyers, past.places, past.won_buyers, past.won_signs)),
            ),
        )


def _of_companies(events: Events, first: int, end: int) -> Events:
    rows = slice(*np.searchsorted(events.company, [first, end]))
    part = events.part(rows)
    return replace(part, company=part.company - np.int32(first))


def _lists_of(lists_of: Jagged, first: int, end: int) -> Jagged:
    offsets = lists_of.offsets[first : end + 1]
    return Jagged(offsets - offsets[0], lists_of.values[offsets[0] : offsets[-1]])


def _tables(block: Block, connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, pa.Table]:
    """The block's rows of each table."""
    events, past, market = block.events, block.past, block.market
    versions = Rows.of(events)
    is_bid = events.place >= 0
    bids = Sequence.of(block.companies, past.bids.company, events.company[is_bid], versions, is_bid)
    told = Told.of(block, bids, is_bid)
    seen = {
        "buyers": Seen.of(events, _codes(market.buyer, events, is_bid), len(market.buyer.words), past.buyers),
        "places": Seen.of(events, _codes(market.place, events, is_bid), len(market.place.words), past.places),
    }
    numbers = _numbers(block, versions, bids, told, seen, is_bid)
    ids = market.company_ids.slice(block.first, block.companies).take(pa.array(versions.company))
    running = pa.table({"company_id": ids, **numbers})
    connection.register("running", running)
    activity = connection.execute(sql).to_arrow_table()
    connection.unregister("running")
    known_at = activity["known_at"]
    won = _wins(block, versions)
    history = pa.table({"company_id": ids, "known_at": known_at, **_history(block, versions, bids, told, won)})
    state = _state(block, running.append_column("known_at", known_at), versions, bids, told, seen, won)
    return {"company_activity": activity, "company_history": history, "company_state": state}


@dataclass(frozen=True)
class Told:
    """The bids of a block in the order of their sequence: (S,) each."""

    notice: Ints
    known: Ints
    place: Ints

    @classmethod
    def of(cls, block: Block, bids: Sequence, is_bid: npt.NDArray[np.bool_]) -> "Told":
        new, old = block.events, block.past.bids
        return cls(
            *(
                np.concatenate([getattr(old, name), getattr(new, name)[is_bid]])[bids.order]
                for name in ("notice", "known", "place")
            )
        )


@dataclass(frozen=True)
class Wins:
    """Outcomes by which a company was found to have won at a buyer (+1), or not after all (-1), in turn."""

    turns: Sequence
    buyer: Ints
    sign: Ints


def _codes(column: Coded, events: Events, is_bid: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    return np.where(is_bid, column.codes[events.notice], -1)


def _numbers(
    block: Block, versions: Rows, bids: Sequence, told: Told, seen: dict[str, Seen], is_bid: npt.NDArray[np.bool_]
) -> dict[str, npt.NDArray[np.generic]]:
    events, before, company = block.events, block.past.numbers, versions.company
    value = np.where(is_bid, block.market.log_value[events.notice], -1)
    stated = value >= 0
    value = np.where(stated, value, 0)
    changes = {
        "bids": is_bid,
        "wins": events.wins,
        "outcomes": events.outcomes,
        "valued": stated,
        "value_sum": value,
        "value_squares": value * value,
    }
    held = np.bincount(block.past.bids.company, minlength=block.companies)
    count = decayed(bids, told.known, held, before["decayed"].astype(np.float64))
    last_bid = told.known[bids.newest]
    first = np.where(held > 0, before["first"], told.known[np.minimum(bids.begin[:-1], max(len(told.known) - 1, 0))])
    return {
        "known": versions.known,
        **{name: before[name][company] + versions.so_far(change) for name, change in changes.items()},
        **{name: bids.newest + 1 - within(bids, told.known, versions, length) for name, length in WINDOWS.items()},
        **{name: np.diff(one.before.offsets)[company] + versions.so_far(one.is_first) for name, one in seen.items()},
        "decayed_at_bid": count[bids.newest],
        "decayed": count[bids.newest] * np.exp2(-(versions.known - last_bid) / HALF_LIFE),
        "first": first[company],
        "last_bid": last_bid,
    }


def _wins(block: Block, versions: Rows) -> Wins:
    events, past = block.events, block.past
    buyer = block.market.buyer.codes[events.notice]
    turns = (events.wins != 0) & (buyer >= 0)
    old = np.repeat(np.arange(block.companies), np.diff(past.won_buyers.offsets))
    sequence = Sequence.of(block.companies, old, events.company[turns], versions, turns)
    return Wins(
        sequence,
        np.concatenate([past.won_buyers.values, buyer[turns]])[sequence.order],
        np.concatenate([past.won_signs.values, events.wins[turns]])[sequence.order],
    )


def _history(block: Block, versions: Rows, bids: Sequence, told: Told, won: Wins) -> dict[str, pa.Array]:
    """The columns of company_history."""
    market, rows = block.market, len(versions.event)
    back = Back.over(bids.newest, bids.begin[versions.company], LAST)
    notice = told.notice[back.event]

    def last(column: Coded) -> pa.Array:
        codes = column.codes[notice]
        stated = codes >= 0
        return lists(rows, back.row[stated], column.words.take(pa.array(codes[stated])))

    def ages(row: Ints, event: Ints) -> pa.Array:
        days = (versions.known[row] - told.known[event]) / DAY
        return lists(rows, row, pa.array(days.astype(np.float32)))

    rivals = _rivals(block, versions, bids, told)
    titles = back.where(back.depth < TITLES_BACK)
    begin, end = (market.terms.offsets[told.notice[titles.event] + step] for step in (0, 1))
    title, place = spread(begin, end - begin)
    terms = ranked(titles.row[title], market.terms.values[place], titles.depth[title], TERMS, by_count=False)
    turns = Back.over(won.turns.newest, won.turns.begin[versions.company], WINS_BACK)
    wins = ranked(turns.row, won.buyer[turns.event], turns.depth, WON, sign=won.sign[turns.event])
    return {
        "last_notices": lists(rows, back.row, market.notice_ids.take(pa.array(notice))),
        "last_ages": ages(back.row, back.event),
        "last_buyers": last(market.buyer),
        "last_places": last(market.place),
        "last_categories": last(market.category),
        "last_value_bands": last(market.value_band),
        "last_terms": lists(rows, terms.row, market.term_words.take(pa.array(terms.thing))),
        "term_ages": ages(terms.row, bids.newest[terms.row] - terms.depth),
        "rivals": lists(rows, rivals.row, market.company_ids.take(pa.array(rivals.thing))),
        "rival_meetings": lists(rows, rivals.row, pa.array(rivals.count)),
        "won_buyers": lists(rows, wins.row, market.buyer.words.take(pa.array(wins.thing))),
        "won_buyer_wins": lists(rows, wins.row, pa.array(wins.count)),
    }


def _rivals(block: Block, versions: Rows, bids: Sequence, told: Told) -> Ranked:
    """Who else bid on several of a company's last notices, as far as known when its own bid there became known."""
    market = block.market
    company = np.repeat(np.arange(block.companies), np.diff(bids.begin))
    field = market.bidder_field[told.place]
    bid, place = spread(market.bidder_begin[told.notice], np.where(field <= FIELD, field, 0))
    rival = market.bidder_company[place]
    other = rival != company[bid] + block.first
    bid, rival = bid[other], rival[other]
    met = again(bid, rival, company, RIVALS_BACK)
    bid, rival = bid[met], rival[met].astype(np.int64)
    # Each meeting is told of by the versions whose newest bid is it, or one of the next few of the company.
    first = np.searchsorted(bids.newest, bid)
    last = np.minimum(bid + RIVALS_BACK, bids.begin[company[bid] + 1]) - 1
    meeting, row = spread(first, np.searchsorted(bids.newest, last, side="right") - first)
    return ranked(row, rival[meeting], bids.newest[row] - bid[meeting], RIVALS, least=2)


def _state(
    block: Block, running: pa.Table, versions: Rows, bids: Sequence, told: Told, seen: dict[str, Seen], won: Wins
) -> pa.Table:
    """The newest of everything of each company with news, and as much of its past as any feature looks back on."""
    newest = versions.last_of_companies()
    company = versions.company[newest]
    row_of = np.full(block.companies, -1)
    row_of[company] = np.arange(len(company))
    market = block.market

    def tail(sequence: Sequence, oldest: Ints) -> tuple[Ints, Ints]:
        """Rows of the state and of the sequence, for those from `oldest` on."""
        last = sequence.newest[newest]
        oldest = np.maximum(oldest, sequence.begin[company])
        return spread(oldest, last + 1 - oldest)

    def so_far(one: Seen, code: Ints, words: pa.Array) -> pa.Array:
        old = np.repeat(np.arange(block.companies), np.diff(one.before.offsets))
        both = np.concatenate([old, block.events.company[one.is_first]])
        order = np.argsort(both, kind="stable")
        row = row_of[both[order]]
        codes = np.concatenate([one.before.values, code[block.events.notice[one.is_first]]])[order]
        return lists(len(company), row[row >= 0], words.take(pa.array(codes[row >= 0])))

    looked_at = within(bids, told.known, versions, max(WINDOWS.values()))[newest]
    row, event = tail(bids, np.minimum(looked_at, bids.newest[newest] - RIVALS_BACK + 1))
    turn_row, turn = tail(won.turns, won.turns.newest[newest] - WINS_BACK + 1)
    columns = running.set_column(running.column_names.index("decayed"), "decayed", running["decayed_at_bid"]).take(
        pa.array(newest)
    )
    rows = len(company)
    return pa.table(
        {name: columns[name] for name in ("company_id", "known_at", *NUMBERS)}
        | {
            "notices": lists(rows, row, market.notice_ids.take(pa.array(told.notice[event]))),
            "buyers": so_far(seen["buyers"], market.buyer.codes, market.buyer.words),
            "places": so_far(seen["places"], market.place.codes, market.place.words),
            "won_buyers": lists(rows, turn_row, market.buyer.words.take(pa.array(won.buyer[turn]))),
            "won_signs": lists(rows, turn_row, pa.array(won.sign[turn].astype(np.int8))),
        }
    )
