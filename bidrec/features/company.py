"""The companies' tables: what each is after every moment at which something of its bids became known.

Reads   the arrays of the market (bidrec.features.market)
Writes  company_activity (numbers), company_history (lists) and company_state (what the next build goes on from)

Companies are worked through in blocks, so that memory does not grow with their number; a block is written while the
next one is made. Of a block the lists take by far the most, so that those of a company that bids on everything are made
a stretch of versions at a time.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise, starmap
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from bidrec.features.block import Block, Told, Wins, blocks
from bidrec.features.history import history_of
from bidrec.features.market import Coded, Market
from bidrec.features.running import HALF_LIFE, WINDOWS, BidSequence, Seen, Versions, decayed, within
from bidrec.features.state import state_of
from bidrec.operations import log

ROW_GROUP = 122_880


def write_companies(
    connection: duckdb.DuckDBPyConnection, market: Market, sql: str, folder: Path, file: str, block_events: int
) -> None:
    """Write `file` of the three tables below `folder`, sorted by company_id, known_at.

    sql: company_activity.sql. block_events: about how many bids are worked on at a time; a company's lie in one block.
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
            for block in blocks(market, block_events):
                for tables in _tables(block, connection, sql, block_events):
                    if before:
                        before.result()
                    before = writer.submit(write, tables)
                done = block.first + block.companies
                log.get("features").info("following companies", done=f"{done}/{len(market.company_ids)}")
            if before:
                before.result()


def _tables(
    block: Block, connection: duckdb.DuckDBPyConnection, sql: str, stretch: int
) -> Iterator[dict[str, pa.Table]]:
    """The block's rows of each table; those of company_history less than twice `stretch` at a time."""
    events, past, market = block.events, block.past, block.market
    versions = Versions.of(events)
    is_bid = block.is_bid
    bids = BidSequence.of(block.companies, past.bids.company, events.company[is_bid], versions, is_bid)
    told, won = Told.of(block, bids), Wins.of(block, versions)
    seen = {
        "buyers": Seen.of(events, _stated(block, market.buyer), len(market.buyer.words), past.buyers),
        "places": Seen.of(events, _stated(block, market.place), len(market.place.words), past.places),
    }
    ids = market.company_ids.slice(block.first, block.companies).take(pa.array(versions.company))
    running = pa.table({"company_id": ids, **_numbers(block, versions, bids, told, seen)})
    connection.register("running", running)
    activity = connection.execute(sql).to_arrow_table()
    connection.unregister("running")
    known_at = activity["known_at"]
    state = state_of(block, running.append_column("known_at", known_at), versions, bids, told, seen, won)
    yield {"company_activity": activity, "company_state": state}
    bounds = np.linspace(0, len(ids), max(1, len(ids) // stretch) + 1).astype(np.int64)
    for rows in starmap(slice, pairwise(bounds.tolist())):
        lists = history_of(block, versions.part(rows), bids.part(rows), told, won.part(rows))
        yield {"company_history": pa.table({"company_id": ids[rows], "known_at": known_at[rows], **lists})}


def _stated(block: Block, column: Coded) -> npt.NDArray[np.int32]:
    """(E,) what each bid is with; -1 where that is not stated, and for a correction."""
    return np.where(block.is_bid, column.codes[block.events.notice], -1)


def _numbers(
    block: Block, versions: Versions, bids: BidSequence, told: Told, seen: dict[str, Seen]
) -> dict[str, npt.NDArray[np.generic]]:
    """The running numbers that company_activity.sql reads, and those that the next build goes on from."""
    events, before, company, is_bid = block.events, block.past.numbers, versions.company, block.is_bid
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
