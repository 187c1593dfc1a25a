"""A published home of which a file is damaged: what reads it says so, and never shows another answer."""

import pickle
from pathlib import Path

import pytest

from benchmarks.fuzz import fuzz
from benchmarks.fuzz_cases import READERS, Home
from benchmarks.fuzz_files import Damage
from benchmarks.fuzz_home import place
from benchmarks.fuzz_run import try_case
from bidrec import flow
from bidrec.config import Config
from bidrec.errors import ContractError
from bidrec.explore.lists import Filters, companies_of
from bidrec.publishing.arrived import may_bid
from bidrec.publishing.recommend import Published
from bidrec.ranking.reranker import Blend
from bidrec.runs.found import find
from bidrec.training.saved import load_model
from bidrec.training_set.arrays import TrainingSet
from tests.test_trust import no_pickle


def test_commands_in_homes_with_a_damaged_file_end_with_a_documented_code(config: Config, tmp_path: Path) -> None:
    found = fuzz(tmp_path, cases=40, from_seed=3, kinds=["home"], home=config.home_path, workers=0)
    assert found["failures"] == []
    assert found["by_exit_code"].keys() >= {"0", "65"}


@pytest.mark.parametrize("command", [("write-back",), next(command for command in READERS if "--all" in command)])
def test_a_command_that_ends_well_with_other_lists_than_the_sound_home_gives_is_caught(
    config: Config, tmp_path: Path, command: tuple[str, ...]
) -> None:
    at, case = place(tmp_path, config.home_path), Home(0, Damage("link", 0, 0), command)
    assert try_case(case, at).fault is None
    at.answers[command] = at.answers[command][:-1]
    assert try_case(case, at).fault == "another answer"


READ = {
    "model/weights.safetensors": lambda run: load_model(TrainingSet.open(run.training_set).schema, run.model),
    "model/manifest.json": lambda run: load_model(TrainingSet.open(run.training_set).schema, run.model),
    "second_stage/blend.json": lambda run: Blend.load(run.second_stage),
    "training_set/schema.json": lambda run: TrainingSet.open(run.training_set),
    "training_set/pairs/notice.npy": lambda run: TrainingSet.open(run.training_set),
    "metrics.json": lambda run: run.metrics(),
}


@pytest.mark.parametrize("name", READ)
def test_a_byte_of_a_run_that_was_changed_is_refused(copy: Config, name: str) -> None:
    run = find(copy.home_path)
    READ[name](run)
    tamper(run.folder / name)
    with pytest.raises(ContractError, match="damaged"):
        READ[name](run)


@pytest.mark.parametrize("name", ["notices", "companies", "notice_recommendations", "company_embedding"])
def test_a_byte_of_a_published_table_that_was_changed_is_refused(copy: Config, name: str) -> None:
    published = Published(copy.home_path)
    notice, vector = published.an_open_notice(), [1.0] * copy.model.embedding_dim

    def read() -> None:
        published.companies_for(notice, 5)
        published.companies_near(vector, 5)

    read()
    tamper(published.folder / f"{name}.parquet")
    with pytest.raises(ContractError, match=rf"{name}\.parquet is damaged"):
        read()


@pytest.mark.parametrize("table", ["notice", "company_profile"])
def test_a_home_whose_feature_files_are_gone_is_refused_and_not_read_as_one_without_facts(
    copy: Config, table: str
) -> None:
    published = Published(copy.home_path)
    notice = published.an_open_notice()
    assert any(row["reasons"] for row in published.companies_for(notice, 20)[1])
    for file in (copy.home_path / "features" / table).glob("*.parquet"):
        file.unlink()
    with pytest.raises(ContractError, match="damaged"):
        companies_of(copy.home_path, notice, Filters())
    with pytest.raises(ContractError, match="damaged"):
        published.companies_for(notice, 20) if table == "notice" else may_bid(
            copy.home_path, published.as_of, ["c0"], ["Seoul"], None
        )


@pytest.mark.parametrize(
    "name",
    ["model/weights.safetensors", "training_set/profile/idf.npy", "training_set/notice/vocabulary.parquet"],
)
def test_a_write_back_of_a_run_that_was_tampered_with_publishes_nothing(copy: Config, name: str) -> None:
    before = (copy.home_path / "published" / "current").resolve()
    tamper(find(copy.home_path).folder / name)
    with pytest.raises(ContractError, match="damaged"):
        flow.publish(copy)
    assert (copy.home_path / "published" / "current").resolve() == before


def tamper(file: Path) -> None:
    """Change one bit in the middle of the file, which keeps its size."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def test_a_run_is_read_and_its_vectors_published_where_nothing_can_be_unpickled(
    copy: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow.publish(copy)  # imports all that it needs
    no_pickle(monkeypatch)
    monkeypatch.setattr("torch.load", pickle.loads)
    assert flow.publish(copy)["run"] == find(copy.home_path).id
    published = Published(copy.home_path)
    assert published.companies_for(published.an_open_notice(), 5)[1]
