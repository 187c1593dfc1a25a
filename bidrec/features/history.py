"""The lists of company_history: what a company's newest bids were about, with whom it competed and where it won.

Reads   one block of companies (bidrec.features.block)
Writes  nothing: Arrow columns, one row per version
"""

import numpy as np
import pyarrow as pa

from bidrec.features.block import Block, Told, Wins
from bidrec.features.lists import Back, Ranked, again, lists, ranked, spread
from bidrec.features.market import Coded, Ints
from bidrec.features.running import DAY, BidSequence, Versions

LAST = 10
"""Bids of which the lists tell."""
RIVALS, WON, TERMS = 10, 10, 20
"""Longest lists of rivals, of buyers won at, and of words."""
RIVALS_BACK, WINS_BACK, TITLES_BACK = 20, 20, 4
"""Bids, outcomes and titles looked back over."""
FIELD = 20
"""Most bidders of a notice that count as rivals: where hundreds bid, two of them have met by chance."""


def history_of(block: Block, versions: Versions, bids: BidSequence, told: Told, won: Wins) -> dict[str, pa.Array]:
    """The columns of company_history, for the versions: all of the block, or a stretch of them."""
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

    rivals = _rivals(block, bids, told)
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


def _rivals(block: Block, bids: BidSequence, told: Told) -> Ranked:
    """Who else bid on several of a company's last notices, as far as known when its own bid there became known."""
    market = block.market
    newest = bids.newest
    oldest = max(int(newest[0]) - RIVALS_BACK + 1, 0) if len(newest) else 0
    seen = np.arange(oldest, newest[-1] + 1 if len(newest) else 0)  # by any of the versions, which are in order
    company = np.searchsorted(bids.begin, seen, side="right") - 1
    field = market.bidder_field[told.place[seen]]
    at, place = spread(market.bidder_begin[told.notice[seen]], np.where(field <= FIELD, field, 0))
    rival = market.bidder_company[place]
    other = rival != company[at] + block.first
    at, rival = at[other], rival[other]
    met = again(at, rival, company, RIVALS_BACK)
    bid, of, rival = seen[at[met]], company[at[met]], rival[met].astype(np.int64)
    # Each meeting is told of by the versions whose newest bid is it, or one of the next few of the company.
    first = np.searchsorted(newest, bid)
    last = np.minimum(bid + RIVALS_BACK, bids.begin[of + 1]) - 1
    meeting, row = spread(first, np.searchsorted(newest, last, side="right") - first)
    return ranked(row, rival[meeting], newest[row] - bid[meeting], RIVALS, least=2)
