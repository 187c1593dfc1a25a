"""The same rows in whatever order, and the same seed: the same bytes from the lake to the model."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
import torch

from bidrec import flow
from bidrec.config import Config, Evaluation, Split, Training
from bidrec.simulator import simulate
from bidrec.storage.sealed import content_of, read_manifest
from tests.e2e.markets import END, market


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums of floating point numbers depend on how they are shared out."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_source_in_another_order_gives_the_same_bytes_in_every_box(tmp_path: Path) -> None:
    one, other = (small(tmp_path / name) for name in ("one", "other"))
    for file in (tmp_path / "one" / "source").rglob("*.parquet"):
        target = tmp_path / "other" / "source" / file.relative_to(tmp_path / "one" / "source")
        target.parent.mkdir(parents=True, exist_ok=True)
        duckdb.execute(
            f"COPY (SELECT * FROM '{file}' ORDER BY hash(COLUMNS(*)::VARCHAR)) TO '{target}' (FORMAT parquet)"
        )
    assert boxes(one) == boxes(other)


def small(home: Path) -> Config:
    if home.name == "one":
        simulate(home / "source", notices=400, companies=80, bids=3000, seed=3, days=365, end=END)
    (home / "source").mkdir(parents=True, exist_ok=True)
    config = market(
        home, training=Training(batch_size=128, epochs=1), evaluation=Evaluation(bootstrap=20, refresh_days=0)
    )
    return replace(config, split=Split(test_days=40, validation_days=30))


def boxes(config: Config) -> dict[str, str]:
    run = flow.train(config)
    folders = {"lake": config.home_path / "lake", "features": config.home_path / "features"}
    folders |= {name: run.folder / name for name in ("training_set", "validated", "model", "second_stage")}
    return {name: content_of(read_manifest(folder) or {}) for name, folder in folders.items()}
