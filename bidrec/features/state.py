"""The rows of company_state: what the next build goes on from.

Reads   one block of companies and what was made of it
Writes  nothing: an Arrow table, one row per company with news
"""

import numpy as np
import pyarrow as pa

from bidrec.features.block import Block, Told, Wins
from bidrec.features.history import RIVALS_BACK, WINS_BACK
from bidrec.features.lists import lists, spread
from bidrec.features.market import NUMBERS, Ints
from bidrec.features.running import WINDOWS, BidSequence, Seen, Versions, within


def state_of(
    block: Block, running: pa.Table, versions: Versions, bids: BidSequence, told: Told, seen: dict[str, Seen], won: Wins
) -> pa.Table:
    """The newest of everything of each company with news, and as much of its past as any feature looks back on."""
    newest = versions.last_of_companies()
    company = versions.company[newest]
    row_of = np.full(block.companies, -1)
    row_of[company] = np.arange(len(company))
    market = block.market

    def tail(sequence: BidSequence, oldest: Ints) -> tuple[Ints, Ints]:
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
