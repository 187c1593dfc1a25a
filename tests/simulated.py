"""Invented markets, each simulated once for all tests that read it."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bidrec.simulator import simulate


@cache
def _room() -> TemporaryDirectory:
    return TemporaryDirectory()  # kept by the cache, removed when Python ends


@cache
def simulated(**market: Any) -> Path:
    """The folder with the tables of the market that `simulate` invents by these; only to be read."""
    out = Path(_room().name) / str(len(list(Path(_room().name).iterdir())))
    simulate(out, **market)
    return out
