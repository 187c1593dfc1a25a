import pytest

from bidrec.ranking.baselines import knn


@pytest.fixture(autouse=True)
def _everything_counts(monkeypatch):
    """Among a few notices every attribute is in more than a fifth."""
    monkeypatch.setattr(knn, "COMMON", 1.0)
