"""A small home to spoil: an invented market, one training, published."""

from datetime import datetime
from pathlib import Path

import duckdb

from benchmarks.fuzz_cases import Place
from bidrec import flow
from bidrec.config import Config, Evaluation, Model, Publish, Source, Split, Training
from bidrec.simulator import simulate


def place(folder: Path, home: Path | None) -> Place:
    """Where the cases run. home: one that is published; None: it is made. Without a publication, nobody is named."""
    if home is None:
        home = folder / "sound"
        if not (home / "published").exists():
            make_home(home)
    lists = home / "published" / "current" / "company_recommendations.parquet"
    company, notice = "c1", "n1"
    if lists.is_file():
        company, notice = duckdb.execute(
            f"SELECT company_id, notice_ids[1] FROM '{lists}' WHERE len(notice_ids) > 0 ORDER BY 1 LIMIT 1"
        ).fetchall()[0]
    return Place(folder=folder / "case", home=home, notice=notice, company=company)


def make_home(home: Path) -> None:
    simulate(home / "source", notices=400, companies=80, bids=3000, seed=3, days=365, end=datetime(2025, 6, 30, 18))
    config = Config(
        home=str(home),
        source=Source(name="koneps", path=str(home / "source")),
        split=Split(test_days=40, validation_days=30),
        model=Model(embedding_dim=16, table_dim=32, hidden=(16,), company_hidden=16, history_length=8),
        training=Training(batch_size=128, epochs=1),
        evaluation=Evaluation(bootstrap=20, refresh_days=0),
        publish=Publish(top_k=10, margin=1.0),
    )
    flow.train(config)
    flow.publish(config)
