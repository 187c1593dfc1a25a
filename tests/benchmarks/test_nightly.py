"""What `python -m benchmarks.nightly` measures is a night's work, done to its end."""

from pathlib import Path

from benchmarks.nightly import measure, table
from benchmarks.training_world import written
from bidrec.training_set.arrays import TrainingSet


def test_a_night_ranks_the_newest_notices_against_all_companies_of_which_a_bid_is_known(tmp_path: Path) -> None:
    ts = TrainingSet.open(written(tmp_path, 0.002))
    found = measure(ts, 40)
    assert found["notices"] == 40
    assert 0 < found["companies"] <= ts.companies
    assert found["bids"] == (ts.pair_known_at < ts.notice_published_at[-40]).sum()
    assert set(found["seconds"]) == {"evidence", "candidates", "lists", "floor"}
    assert table(found).startswith(f"40 notices x {found['companies']:,} companies")
