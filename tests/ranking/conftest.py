import pytest

from bidrec.ranking import neighbours


@pytest.fixture
def everything_counts(monkeypatch):
    """Among a few notices every attribute is in more than a fifth."""
    monkeypatch.setattr(neighbours, "COMMON", 1.0)
