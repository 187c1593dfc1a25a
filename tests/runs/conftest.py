"""A home for the runs of a test."""

from datetime import date
from pathlib import Path

import pytest

from bidrec.config import Config, Split


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(home=str(tmp_path), split=Split(train_before=date(2025, 1, 1)))
