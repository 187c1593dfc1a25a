"""The demo's market: the one that was asked for, made once."""

from pathlib import Path

from bidrec.storage import read_manifest
from jobs.demo import _simulate


def test_the_market_that_was_asked_for_is_made_and_the_same_one_is_not_made_again(tmp_path: Path) -> None:
    source = tmp_path / "source"
    made = []
    for bids in (2_500, 2_500, 1_500):
        _simulate(source, notices=400, companies=100, bids=bids, seed=7)
        made.append((source.stat().st_ino, read_manifest(source)["rows"]["bid"]))
    first, again, other = made
    assert first == again
    assert other[1] < first[1]
