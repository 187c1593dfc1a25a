from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bidrec.config import Config, Loss, Model, Training
from bidrec.errors import BidrecError, ContractError, DependencyDown, Interrupted
from bidrec.training.embed import company_vectors, notice_vectors
from bidrec.training.loop import choose_device, load_model, rate_share, train
from bidrec.training.resident import Resident
from bidrec.training.validation import validation_recall
from tests.training.sets import training_set

SET = training_set()
SMALL = Model(embedding_dim=8, table_dim=16, hidden=(16,), company_hidden=16, history_length=8)
CONFIG = Config(model=SMALL, training=Training(batch_size=20, epochs=3, candidates=16, history_gradients=30))


def curve(facts: dict) -> list[dict]:
    return [{name: value for name, value in entry.items() if name != "steps_per_second"} for entry in facts["curve"]]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    run = tmp_path_factory.mktemp("unbroken")
    return run, train(CONFIG, SET, run)


def test_the_model_learns_which_companies_bid_on_which_kind(unbroken: tuple[Path, dict]) -> None:
    """Four of eight companies of the notice's kind bid: ranked by kind, half of the top eight are right."""
    run, _ = unbroken
    model, data = load_model(SET.schema, run / "model"), Resident.of(SET, torch.device("cpu"))
    assert validation_recall(model, data, SET.validation_from, SET.cutoff, k=8) > 0.9
    everyone = validation_recall(model, data, SET.validation_from, SET.cutoff, k=40)
    assert everyone == pytest.approx(1.0)


@pytest.mark.parametrize("stop_at", [1, 15, 40])
def test_a_run_stopped_at_any_step_goes_on_to_the_same_bytes(
    tmp_path: Path, unbroken: tuple[Path, dict], stop_at: int
) -> None:
    steps = 0

    def stop() -> bool:
        nonlocal steps
        steps += 1
        return steps == stop_at

    with pytest.raises(Interrupted, match=f"stopped at step {stop_at}"):
        train(CONFIG, SET, tmp_path, stop)
    torch.manual_seed(99)  # the state on disk decides, not what the process did meanwhile
    facts = train(CONFIG, SET, tmp_path)
    run, wanted = unbroken
    assert curve(facts) == curve(wanted)
    name = "model/weights.safetensors"
    assert (tmp_path / name).read_bytes() == (run / name).read_bytes()


LEARNED_FREQUENCIES = Loss(kind="in_batch", logq=True, two_way=True, other_bidders="masked", uniform_negatives=8)


@pytest.mark.parametrize("model", [SMALL, replace(SMALL, kind="static")], ids=["history", "static"])
def test_the_running_frequencies_of_a_stopped_run_go_on_too(tmp_path: Path, model: Model) -> None:
    config = Config(model=model, loss=LEARNED_FREQUENCIES, training=Training(batch_size=20, epochs=1, refit=False))
    train(config, SET, tmp_path / "unbroken")
    asked = iter([False] * 6 + [True])
    with pytest.raises(Interrupted):
        train(config, SET, tmp_path / "stopped", lambda: next(asked))
    torch.manual_seed(99)
    train(config, SET, tmp_path / "stopped")
    weights = [(tmp_path / run / "model" / "weights.safetensors").read_bytes() for run in ("unbroken", "stopped")]
    assert weights[0] == weights[1]


def test_a_run_killed_between_its_two_trainings_still_trains_anew_to_the_same_bytes(
    tmp_path: Path, unbroken: tuple[Path, dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest checkpoint is that of the first training's last epoch; the weights validated are not yet written."""

    def cut(*_: object) -> None:
        raise OSError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr("bidrec.training.loop.checkpoint.save_model", cut)
        with pytest.raises(OSError, match="power cut"):
            train(CONFIG, SET, tmp_path)
    assert not (tmp_path / "validated").exists()
    facts = train(CONFIG, SET, tmp_path)
    assert facts["refit"]
    assert curve(facts) == curve(unbroken[1])
    for name in ("model/weights.safetensors", "validated/weights.safetensors"):
        assert (tmp_path / name).read_bytes() == (unbroken[0] / name).read_bytes()


def test_the_validated_weights_have_not_seen_the_validation_window_and_the_model_has(tmp_path: Path) -> None:
    inside = (SET.pair_known_at >= SET.validation_from) & (SET.pair_known_at < SET.cutoff)
    companies = np.where(inside, 2, SET.pair_company).astype(np.int32)
    once = replace(CONFIG, training=replace(CONFIG.training, epochs=1))
    weights = []
    for name, ts in (("as_it_was", SET), ("changed", replace(SET, pair_company=companies))):
        train(once, ts, tmp_path / name)
        weights.append(
            [(tmp_path / name / kind / "weights.safetensors").read_bytes() for kind in ("validated", "model")]
        )
    assert weights[0][0] == weights[1][0]
    assert weights[0][1] != weights[1][1]
    load_model(SET.schema, tmp_path / "changed" / "validated")


def test_without_a_second_training_the_model_itself_has_not_seen_the_window(tmp_path: Path) -> None:
    once = replace(CONFIG, training=replace(CONFIG.training, epochs=1, refit=False))
    assert not train(once, SET, tmp_path)["refit"]
    assert not (tmp_path / "validated").exists()


def test_a_damaged_checkpoint_is_skipped(tmp_path: Path, unbroken: tuple[Path, dict]) -> None:
    asked = iter([False] * 8 + [True])
    with pytest.raises(Interrupted):
        train(CONFIG, SET, tmp_path, lambda: next(asked))
    newest = max((tmp_path / "checkpoints").iterdir()) / "state.safetensors"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    assert curve(train(CONFIG, SET, tmp_path)) == curve(unbroken[1])


def test_a_tampered_model_is_refused(tmp_path: Path, unbroken: tuple[Path, dict]) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in (unbroken[0] / "model").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00\x01"[-1:])
    with pytest.raises(ContractError, match="damaged"):
        load_model(SET.schema, folder)


def test_a_company_with_nothing_known_has_no_vector(unbroken: tuple[Path, dict]) -> None:
    model, data = load_model(SET.schema, unbroken[0] / "model"), Resident.of(SET, torch.device("cpu"))
    vectors, known = company_vectors(model, data, notice_vectors(model, data), SET.cutoff)
    assert known.tolist() == [company != 1 for company in range(SET.companies)]
    assert not vectors[1].any()
    np.testing.assert_allclose(vectors[known].norm(dim=1), 1, atol=1e-5)


def test_bids_after_the_cutoff_change_no_weight(tmp_path: Path, unbroken: tuple[Path, dict]) -> None:
    late = SET.pair_known_at >= SET.cutoff
    companies = SET.pair_company.copy()
    companies[late] = 2
    train(CONFIG, SET.__class__(**SET.__dict__ | {"pair_company": companies}), tmp_path)
    name = "model/weights.safetensors"
    assert (tmp_path / name).read_bytes() == (unbroken[0] / name).read_bytes()


def test_the_seed_model_trains_on_pairs(tmp_path: Path) -> None:
    model = Model(kind="static", embedding_dim=8, table_dim=8, hidden=(16,), temperature=1.0, learn_temperature=False)
    facts = train(Config(model=model, training=Training(batch_size=64, epochs=1)), SET, tmp_path)
    assert facts["curve"][0]["temperature"] == 1.0


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    wild = Config(model=SMALL, training=Training(batch_size=20, learning_rate=1e30, candidates=16))
    with pytest.raises(BidrecError, match="the loss is"):
        train(wild, SET, tmp_path)


def test_the_learning_rate_rises_then_falls_to_zero() -> None:
    shares = [rate_share(step, 100, 0.1) for step in range(100)]
    assert shares[0] == pytest.approx(0.1)
    assert max(shares) == 1.0
    assert shares[-1] == pytest.approx(1 / 90)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_a_missing_dependency() -> None:
    with pytest.raises(DependencyDown):
        choose_device("cuda")
    assert choose_device("auto").type == "cpu"
