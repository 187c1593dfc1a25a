"""A feature of one's own: a column in the source's SQL and a tagged field in the view, nothing else."""

import shutil

import pandas as pd

from bidrec.config import Config
from bidrec.features.build import build_features
from bidrec.features.registry import apply, open_store, repository
from bidrec.features.schema import read_schema
from tests import tables
from tests.feature_repo.homes import day
from tests.features.lakes import write_lake

FIELD = 'categorical("funding", "who pays"),'


def test_a_column_and_a_tagged_field_make_a_feature_for_the_model_and_for_feast(tmp_path):
    repo = shutil.copytree(repository(), tmp_path / "repo")
    views = repo / "notice_views.py"
    views.write_text(views.read_text().replace("schema=[", f"schema=[{FIELD}", 1))
    config = Config(home=str(tmp_path / "home"), feature_repo=str(repo))
    write_lake(config.home_path, notice=[tables.notice(0, published_at=day(0), funding="World Bank")])

    build_features(config)
    apply(config)

    field = read_schema(config).view("notice_features").fields[0]
    assert (field.name, field.read, field.meaning) == ("funding", "categorical", "who pays")
    asked = pd.DataFrame([("n0", day(1))], columns=["notice_id", "event_timestamp"])
    answer = open_store(config).get_historical_features(asked, ["notice_features:funding"]).to_df()
    assert answer["funding"].tolist() == ["World Bank"]
