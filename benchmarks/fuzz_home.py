"""A small home to spoil: an invented market, one training, published."""

from datetime import datetime
from pathlib import Path

import duckdb

from benchmarks.fuzz_cases import Place
from bidrec import flow
from bidrec.config import files
from bidrec.simulator import simulate

SETTINGS = """
[source]
name = "koneps"
path = "{home}/source"
[split]
test_days = 40
validation_days = 30
[model]
embedding_dim = 16
table_dim = 32
hidden = [16]
company_hidden = 16
history_length = 8
[training]
batch_size = 128
epochs = 1
[evaluation]
bootstrap = 20
refresh_days = 0
[publish]
top_k = 10
margin = 1.0
"""


def place(folder: Path, home: Path | None) -> Place:
    """Where the cases run. home: one that is published; None: it is made. Without a publication, nobody is named."""
    home, made = home or folder / "sound", home is None
    settings = folder / "settings.toml"
    settings.write_text(SETTINGS.format(home=home), encoding="utf-8")
    if made and not (home / "published").exists():
        make_home(home, settings)
    lists = home / "published" / "current" / "company_recommendations.parquet"
    company, notice = "c1", "n1"
    if lists.is_file():
        company, notice = duckdb.execute(
            f"SELECT company_id, notice_ids[1] FROM '{lists}' WHERE len(notice_ids) > 0 ORDER BY 1 LIMIT 1"
        ).fetchall()[0]
    return Place(folder=folder / "case", home=home, settings=settings, notice=notice, company=company)


def make_home(home: Path, settings: Path) -> None:
    simulate(home / "source", notices=400, companies=80, bids=3000, seed=3, days=365, end=datetime(2025, 6, 30, 18))
    config = files.load(settings, home=str(home))
    flow.train(config)
    flow.publish(config)
