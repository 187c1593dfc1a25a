"""For every test: an environment without this machine's settings; on request, a home of its own."""

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from bidrec.storage import whole

settings.register_profile("bidrec", deadline=None)  # on a busy machine any example may take long
settings.load_profile("bidrec")

whole.LISTING_S = 0.0  # nobody else lists a test's folders, of which hundreds are replaced

_KEPT = "BIDREC_GEPNIC_DIR"


def pytest_configure(config: pytest.Config) -> None:
    """No GPU is seen but with `-m gpu`: a training that takes what there is would take it, and its sums come together
    in another order each time, where tests want the same bits."""
    if config.getoption("markexpr") != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_report_header() -> str:
    """Versions of what usually explains a difference between two machines; nothing is imported for it."""
    return "stack: " + ", ".join(
        f"{name} {_version(name)}" for name in ("torch", "torchrec", "fbgemm-gpu-cpu", "fbgemm-gpu", "duckdb", "feast")
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "-"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("PG", "BIDREC_", "FEAST_")) and name != _KEPT:
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _log_to_this_test_only():
    """A command sets the log up to write to the stderr of its test, which is gone afterwards."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, named by BIDREC_HOME."""
    folder = tmp_path / "home"
    monkeypatch.setenv("BIDREC_HOME", str(folder))
    return folder
