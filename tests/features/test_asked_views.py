"""Views of every kind can be named to Feast's reading commands; how the commands themselves end: test_commands.py."""

import click
import pytest
from feast import Field, FileSource, PushSource
from feast.labeling.label_view import LabelView
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Int64

from bidrec.errors import InputMissing
from bidrec.features.asked_views import refuse_what_is_not_applied
from tests.asof.worlds import company, store, view, write


@pytest.fixture
def registry(tmp_path):
    versions = view(write(tmp_path / "v.parquet", [("a", 1, 1)]))

    @on_demand_feature_view(sources=[versions], schema=[Field(name="twice", dtype=Int64)])
    def doubled(rows):
        return rows[["value"]].rename(columns={"value": "twice"}) * 2

    told = PushSource(name="told", batch_source=FileSource(name="told_source", path="t.parquet", timestamp_field="at"))
    labels = LabelView(name="labels", entities=[company], schema=[Field(name="good", dtype=Int64)], source=told)
    ours = store(tmp_path)
    ours.apply([company, versions, doubled, labels])
    return ours.registry.proto()


@pytest.mark.parametrize("feature", ["versions:value", "versions@v2:value", "doubled:twice", "labels:good"])
def test_a_view_of_any_kind_may_be_asked_for(registry, feature):
    ask(registry, feature)


def test_a_view_that_is_not_there_is_refused_with_those_that_are(registry):
    with pytest.raises(InputMissing, match="no feature view 'label'") as caught:
        ask(registry, "versions:value", "label:good")
    assert caught.value.hint == "there are: doubled, labels, versions"


def ask(registry, *features):
    with click.Context(click.Command("get-online-features"), info_name="get-online-features") as command:
        command.params["features"] = features
        refuse_what_is_not_applied(registry)
