"""A home with one finished run, published, made once for all tests that read it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bidrec import flow
from bidrec.config import Config
from tests.e2e.markets import market


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Only to be read."""
    config = market(tmp_path_factory.mktemp("home"))
    flow.train(config)
    flow.publish(config)
    return config


@pytest.fixture
def copy(config: Config, tmp_path: Path) -> Config:
    """The same home, to be spoilt."""
    shutil.copytree(config.home_path, tmp_path / "home", symlinks=True)
    source = replace(config.source, path=str(tmp_path / "home" / "source"))
    return replace(config, home=str(tmp_path / "home"), source=source)
