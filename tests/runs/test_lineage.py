"""What a run and a publication say of where they come from, held to the files themselves."""

import shutil
from dataclasses import replace

import duckdb
import pytest

from bidrec.config import Config, Source
from bidrec.errors import ContractError
from bidrec.features.build import build_features
from bidrec.lake.ingest import ingest
from bidrec.runs import lineage
from bidrec.simulator import simulate
from bidrec.storage.sealed import read_manifest


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Config:
    """Only to be read."""
    folder = tmp_path_factory.mktemp("made")
    simulate(folder / "source", notices=60, companies=40, bids=200, seed=3)
    config = Config(home=str(folder / "home"), source=Source(name="koneps", path=str(folder / "source")))
    ingest(config)
    build_features(config)
    return config


@pytest.fixture
def config(made, tmp_path) -> Config:
    """The same home, to be spoilt."""
    shutil.copytree(made.home_path, tmp_path / "home")
    return replace(made, home=str(tmp_path / "home"))


def test_the_inputs_are_the_rows_and_columns_that_came_from_the_source_and_until_when(config):
    found = lineage.inputs(config)
    lake = config.home_path / "lake"
    assert (found["source"], found["at"]) == ("koneps", config.source.path)
    assert found["read"] == ["notice", "company", "bid"]
    assert found["read_until"] == read_manifest(lake)["read_at"]
    assert list(found["tables"]) == ["notice", "company", "bid"]
    for table, facts in found["tables"].items():
        files = f"{lake}/{table}/*.parquet"
        assert (facts["rows"],) == duckdb.sql(f"SELECT count(*) FROM '{files}'").fetchone()
        assert list(facts["columns"]) == duckdb.sql(f"FROM '{files}' LIMIT 0").columns


def test_rows_that_came_after_the_features_were_built_are_no_input(config, tmp_path):
    before = lineage.inputs(config)
    simulate(tmp_path / "more", notices=90, companies=50, bids=400, seed=4)
    ingest(replace(config, source=replace(config.source, path=str(tmp_path / "more"))))
    after = lineage.inputs(config)
    assert (after["tables"], after["read_until"]) == (before["tables"], before["read_until"])


def test_of_a_database_the_host_and_the_schema_are_told_and_never_the_password(config):
    source = Source(name="koneps", url="postgresql://reader:hush@db:5433/koneps?password=hush", schema="public")
    found = lineage.inputs(replace(config, source=source))
    assert found["at"] == "db:5433/koneps"
    assert found["read"] == ["public.notice", "public.company", "public.bid"]
    assert "hush" not in str(found)
    assert "reader" not in str(found)


@pytest.mark.parametrize("content", [None, b"", b"no Parquet at all"])
def test_a_part_of_the_lake_that_is_gone_or_spoilt_is_named_as_damage(config, content):
    part = config.home_path / "lake" / "bid" / "000001.parquet"
    part.unlink()
    if content is not None:
        part.write_bytes(content)
    with pytest.raises(ContractError, match=r"000001\.parquet is damaged") as caught:
        lineage.inputs(config)
    assert "restore it from a copy" in str(caught.value.hint)
