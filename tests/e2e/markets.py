"""A small invented market taken through the whole flow, once for all tests that read it."""

import dataclasses
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from bidrec.config import Config, Evaluation, Model, Publish, Source, Split, Training
from bidrec.config.files import as_toml
from tests.simulated import simulated

SMALL = Model(embedding_dim=16, table_dim=32, hidden=(32,), company_hidden=32, history_length=16)
END = datetime(2025, 6, 30, 18, 0)


def market(home: Path, **settings) -> Config:
    """1,200 notices and 150 companies over a year, and a configuration that learns from them in seconds."""
    source = home / "source"
    if not source.exists():
        tables = simulated(notices=1200, companies=150, bids=12_000, seed=3, days=365, end=END)
        shutil.copytree(tables, source)
    given = {
        "source": Source(name="koneps", path=str(source)),
        "split": Split(test_days=40, validation_days=30),
        "model": SMALL,
        "training": Training(batch_size=128, epochs=2),
        "evaluation": Evaluation(bootstrap=50),
        "publish": Publish(top_k=20, margin=1.0),
    }
    return Config(home=str(home), **given | settings)


def write_toml(config: Config) -> Path:
    """The configuration as a file in its home, for the commands."""
    file = config.home_path / "bidrec.toml"
    tables = [one.name for one in dataclasses.fields(config) if dataclasses.is_dataclass(getattr(config, one.name))]
    lines = [*_lines(config)]
    for name in tables:
        lines += [f"[{name}]", *_lines(getattr(config, name))]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def _lines(settings: object) -> Iterator[str]:
    for field in dataclasses.fields(settings):  # type: ignore[arg-type]
        value = getattr(settings, field.name)
        if value is not None and not dataclasses.is_dataclass(value):
            yield f"{field.name} = {as_toml(value)}"
