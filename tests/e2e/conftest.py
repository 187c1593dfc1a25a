import pytest

from bidrec import flow
from bidrec.config import Config
from tests.e2e.markets import market


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A home with one finished run, published; made once for all tests here, none of which changes it."""
    config = market(tmp_path_factory.mktemp("home"))
    flow.train(config)
    flow.publish(config)
    return config
