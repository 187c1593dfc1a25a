import shutil
from dataclasses import replace

import pytest

from bidrec.config import Config
from bidrec.contract import TABLES
from bidrec.errors import ContractError, InputMissing
from bidrec.features.feature_store import repository
from bidrec.features.registry import apply
from bidrec.features.schema import read_schema

FIELD = 'Field(name="is_urgent", dtype=Bool, tags={"read": "dense", "meaning": "marked as urgent"}),'


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    config = Config(home=str(home))
    apply(config)
    return read_schema(config)


@pytest.fixture
def repo(tmp_path):
    """A copy of the Feast repository, to be changed."""
    return shutil.copytree(repository(), tmp_path / "repo")


def fields_of(schema, name):
    return next(view.fields for view in schema.views if view.name == name)


def edit(repo, old, new):
    path = repo / "notice_views.py"
    text = path.read_text()
    assert old in text
    path.write_text("from feast import Field\nfrom feast.types import Bool\n" + text.replace(old, new, 1))


def test_the_schema_has_the_views_in_the_order_of_the_service(schema):
    assert [(view.name, view.side, view.key, view.event_time) for view in schema.views] == [
        ("notice_features", "notice", "notice_id", "published_at"),
        ("company_profile", "company", "company_id", "known_at"),
        ("company_activity", "company", "company_id", "known_at"),
    ]
    assert all(view.source.is_absolute() for view in schema.views)


def test_fields_come_in_the_order_of_their_definition_with_their_tags(schema):
    fields = fields_of(schema, "notice_features")
    assert [field.name for field in fields[:3]] == ["title", "buyer_id", "parent"]
    lead = next(field for field in fields if field.name == "lead_days")
    assert (lead.dtype, lead.read, lead.scale, lead.unit) == ("Float64", "dense", "log1p", "days")
    assert lead.meaning == "time from publication to closing"


def test_every_field_says_what_it_means_and_every_number_its_unit(schema):
    for view in schema.views:
        assert [field.name for field in view.fields if not field.meaning] == []
        numbers = [field for field in view.fields if field.dtype in ("Float64", "Int64", "UnixTimestamp")]
        assert [field.name for field in numbers if not field.unit] == []


def test_every_field_comes_from_canonical_columns(schema):
    known = {f"{name}.{column.name}" for name, table in TABLES.items() for column in table.columns}
    sources = {field.name: field.source.split(", ") for view in schema.views for field in view.fields}
    assert {name: source for name, source in sources.items() if not known.issuperset(source)} == {}
    assert (sources["title"], sources["place_unit"]) == (["notice.title"], ["notice.place", "notice.unit"])


def test_a_field_added_to_a_view_is_in_the_schema_and_one_taken_away_is_not(tmp_path, repo):
    config = Config(home=str(tmp_path / "home"))
    apply(config)
    edit(repo, 'text("title", "title of the notice"),', FIELD)
    changed = replace(config, feature_repo=str(repo))
    apply(changed)
    fields = fields_of(read_schema(changed), "notice_features")
    assert (fields[0].name, fields[0].dtype, fields[0].read) == ("is_urgent", "Bool", "dense")
    assert "title" not in [field.name for field in fields]


def test_every_field_whose_reading_is_not_said_is_named(tmp_path, repo):
    config = Config(home=str(tmp_path / "home"), feature_repo=str(repo))
    edit(
        repo, 'text("title", "title of the notice"),', 'Field(name="a", dtype=Bool), ' + FIELD.replace("dense", "dens")
    )
    apply(config)
    with pytest.raises(
        ContractError, match=r"notice_features\.a .*read=nothing.*notice_features\.is_urgent .*read=dens,"
    ):
        read_schema(config)


def test_without_a_registry_the_hint_names_the_command(tmp_path):
    with pytest.raises(InputMissing, match="bidrec feast apply"):
        read_schema(Config(home=str(tmp_path)))
