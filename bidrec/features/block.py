"""A run of companies with their past and their news: what is worked on at a time.

Reads   the arrays of the market (bidrec.features.market)
Writes  nothing: slices of them, renumbered from the first company
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from bidrec.features.market import Events, Ints, Jagged, Market, Past
from bidrec.features.running import BidSequence, Versions


@dataclass(frozen=True)
class Block:
    """Companies first..end of the market, renumbered from 0, with their past and their news."""

    market: Market
    first: int
    companies: int
    events: Events
    past: Past

    @property
    def is_bid(self) -> npt.NDArray[np.bool_]:
        """(E,) whether the event is a bid that became known; otherwise it corrects one."""
        return self.events.place >= 0


def blocks(market: Market, block_events: int) -> Iterator[Block]:
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


@dataclass(frozen=True)
class Told:
    """The bids of a block in the order of their sequence: (S,) each."""

    notice: Ints
    known: Ints
    place: Ints

    @classmethod
    def of(cls, block: Block, bids: BidSequence) -> "Told":
        new, old, is_bid = block.events, block.past.bids, block.is_bid
        return cls(
            *(
                np.concatenate([getattr(old, name), getattr(new, name)[is_bid]])[bids.order]
                for name in ("notice", "known", "place")
            )
        )


@dataclass(frozen=True)
class Wins:
    """Outcomes by which a company was found to have won at a buyer (+1), or not after all (-1), in turn."""

    turns: BidSequence
    buyer: Ints
    sign: Ints

    @classmethod
    def of(cls, block: Block, versions: Versions) -> "Wins":
        events, past = block.events, block.past
        buyer = block.market.buyer.codes[events.notice]
        turns = (events.wins != 0) & (buyer >= 0)
        old = np.repeat(np.arange(block.companies), np.diff(past.won_buyers.offsets))
        sequence = BidSequence.of(block.companies, old, events.company[turns], versions, turns)
        return cls(
            sequence,
            np.concatenate([past.won_buyers.values, buyer[turns]])[sequence.order],
            np.concatenate([past.won_signs.values, events.wins[turns]])[sequence.order],
        )

    def part(self, rows: slice) -> "Wins":
        """As some of the versions see them."""
        return replace(self, turns=self.turns.part(rows))
