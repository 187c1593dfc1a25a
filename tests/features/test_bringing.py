"""What is logged while views are brought online."""

import json

import duckdb
import pytest
from feast import BigQuerySource, Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Int64, String

from bidrec.config import Config
from bidrec.errors import InputMissing
from bidrec.features import bringing, feast_command
from bidrec.features.feature_store import repository
from bidrec.features.registry import apply, materialize, open_store
from bidrec.operations import log
from bidrec.publishing.write_back import VIEWS
from tests.publishing.versions import publish

COMPANIES, NOTICES = [f"c{number:02d}" for number in range(25)], ["road", "bridge"]


@pytest.fixture
def told(capsys, monkeypatch):
    """(view, done) of every line of progress while these views of a home are materialized."""
    monkeypatch.setattr(log, "LINE_SECONDS", 0)  # what comes within five seconds is dropped otherwise

    def of(config, views, by=materialize):
        log.configure(json_lines=True)
        by(config, views)
        events = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
        return [(event["view"], event["done"]) for event in events if event["event"] == "bringing online"]

    return of


@pytest.fixture
def config(tmp_path):
    """Of a store that is written ten rows at a time."""
    store = tmp_path / "store.yaml"
    text = (repository() / "feature_store.yaml").read_text(encoding="utf-8")
    store.write_text(text.replace("batch_size: 10000", "batch_size: 10"), encoding="utf-8")
    config = Config(home=str(tmp_path / "home"), feature_store=str(store))
    apply(config)
    return config


def test_it_is_told_how_many_rows_of_all_views_are_online(config, told):
    publish(config.home_path, COMPANIES, NOTICES)
    assert told(config, VIEWS) == [
        ("notice_embedding", "2/54"),
        *(("company_embedding", f"{done}/54") for done in (12, 22, 27)),
        ("notice_recommendations", "29/54"),
        *(("company_recommendations", f"{done}/54") for done in (39, 49, 54)),
    ]
    answer = open_store(config).get_online_features(
        ["company_embedding:run_id"], [{"company_id": company} for company in COMPANIES]
    )
    assert set(answer.to_dict()["run_id"]) == {"first"}


@pytest.mark.parametrize(
    "arguments", [["materialize", "--disable-event-timestamp"], ["materialize-incremental", "2100-01-01"]]
)
def test_feasts_own_commands_tell_it_too(config, told, arguments):
    publish(config.home_path, COMPANIES, NOTICES)

    def by_command(config, views):
        _, code = feast_command.run(config, [*arguments, "--views", *views])
        assert code == 0

    assert told(config, ["company_embedding"], by_command) == [
        ("company_embedding", f"{done}/25") for done in (10, 20, 25)
    ]


def test_rows_that_are_withdrawn_count_too(config, told):
    publish(config.home_path, COMPANIES, NOTICES)
    publish(config.home_path, COMPANIES[1:], NOTICES, run="second")
    assert [done for _, done in told(config, ["company_embedding"])] == ["10/25", "20/25", "25/25"]


def test_a_damaged_file_is_named_as_without_counting(config):
    publish(config.home_path, COMPANIES, NOTICES)
    file = config.home_path / "published" / "current" / "company_embedding.parquet"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(InputMissing, match=str(file)):
        materialize(config, ["company_embedding"])


def test_of_a_table_of_versions_each_key_is_counted_once(tmp_path):
    file = tmp_path / "versions.parquet"
    duckdb.execute(
        f"COPY (SELECT 'c' || range % 3 AS company, range AS bids, now() AS known_at FROM range(9)) TO '{file}'"
    )
    view = FeatureView(
        name="versions",
        entities=[Entity(name="company", value_type=ValueType.STRING)],
        schema=[Field(name="company", dtype=String), Field(name="bids", dtype=Int64)],
        source=FileSource(path=str(file), timestamp_field="known_at"),
    )
    assert bringing._keys(view) == 3


def test_of_a_view_that_is_read_from_elsewhere_it_is_told_how_many_came(told, capsys):
    view = FeatureView(
        name="elsewhere",
        entities=[Entity(name="company", value_type=ValueType.STRING)],
        schema=[Field(name="bids", dtype=Int64)],
        source=BigQuerySource(table="bids", timestamp_field="known_at"),
    )
    written = []
    write = bringing._Told(lambda *given: written.append(given), bringing._keys(view))
    log.configure(json_lines=True)
    write("config", view, [1, 2], None)
    assert written == [("config", view, [1, 2], None)]
    assert json.loads(capsys.readouterr().err)["done"] == "2/2"
