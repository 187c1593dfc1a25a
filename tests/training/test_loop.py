import json
import math
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bidrec.config import Config, Loss, Model, Training
from bidrec.errors import BidrecError, Interrupted
from bidrec.training.checkpoint import newest
from bidrec.training.embed import company_vectors, notice_vectors
from bidrec.training.loop import train
from bidrec.training.pair_steps import PairSteps
from bidrec.training.resident import Resident
from bidrec.training.saved import load_model
from bidrec.training.steps import steps_for
from bidrec.training.validation import validation_recall
from bidrec.training.watch import Watch
from tests.training.sets import training_set

ROOT = Path(__file__).parents[2]
SET = training_set(records=True)
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


LEARNED_FREQUENCIES = Loss(kind="in_batch", logq=True, two_way=True, other_bidders="masked", uniform_negatives=8)
IMPATIENT = replace(CONFIG.training, epochs=4, patience=1, clip_norm=0.5)
"""Stops after its second epoch: among 40 companies Recall@100 cannot gain."""
ROW_WISE, SPARSE = (replace(IMPATIENT, table_optimiser=rule) for rule in ("rowwise_adagrad", "sparse_adam"))
KINDS = {
    "history": replace(CONFIG, training=ROW_WISE),
    "history-logq": replace(CONFIG, loss=LEARNED_FREQUENCIES, training=IMPATIENT),
    "history-sparse": replace(CONFIG, training=SPARSE),
    "static-logq": Config(
        model=replace(SMALL, kind="static"), loss=LEARNED_FREQUENCIES, training=replace(SPARSE, whole_notices=True)
    ),
}


class PowerCut(Exception):
    """Not one of ours: the loop writes nothing when it comes."""


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> dict[int, list[float]]:
    """Every loss that is computed from here on, by its step."""
    seen: dict[int, list[float]] = {}
    gradients, loss, at = Watch.gradients, Watch.loss, 0

    def note_step(watch: Watch, parameters: Iterable[torch.nn.Parameter], step: int, first: bool) -> None:
        nonlocal at
        at = step
        gradients(watch, parameters, step, first)

    def note_loss(watch: Watch, value: torch.Tensor) -> None:
        seen.setdefault(at, []).append(value.item())
        loss(watch, value)

    monkeypatch.setattr(Watch, "gradients", note_step)
    monkeypatch.setattr(Watch, "loss", note_loss)
    return seen


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_killed_again_and_again_goes_on_with_the_same_losses_to_the_same_bytes(
    tmp_path: Path, losses: dict[int, list[float]], kind: str
) -> None:
    """Told to stop and cut off in turn, at an epoch's first, last and middle step, in both of its trainings."""
    config = KINDS[kind]
    wanted = train(config, SET, tmp_path / "unbroken")
    unbroken = {step: values.copy() for step, values in losses.items()}
    losses.clear()
    assert len(unbroken) > 120
    assert len(wanted["curve"]) == 4  # two epochs, then the refit's two
    epoch = len(unbroken) // 4
    deaths = [1, 2, 17, epoch, epoch + 1, 2 * epoch - 1, 2 * epoch + 9]
    often = replace(config, training=replace(config.training, checkpoint_seconds=0))
    for number, death in enumerate(deaths):
        with pytest.raises((Interrupted, PowerCut)):
            train(often if number % 3 else config, SET, tmp_path / "killed", killer(death, losses, cut=number % 2 == 1))
        torch.manual_seed(99)  # the state on disk decides, not what the process did meanwhile
    facts = train(config, SET, tmp_path / "killed")
    assert {step: set(values) for step, values in losses.items()} == {s: set(v) for s, v in unbroken.items()}
    assert curve(facts) == curve(wanted)
    weights = [(tmp_path / run / "model" / "weights.safetensors").read_bytes() for run in ("unbroken", "killed")]
    assert weights[0] == weights[1]


def killer(step: int, losses: dict[int, list[float]], cut: bool) -> Callable[[], bool]:
    def stop() -> bool:
        if max(losses, default=-1) + 1 < step or not losses:
            return False
        if cut:
            raise PowerCut
        return True

    return stop


def test_a_process_killed_while_a_checkpoint_is_written_leaves_one_to_go_on_from(
    tmp_path: Path, unbroken: tuple[Path, dict]
) -> None:
    """SIGKILL at the 60th step, with a checkpoint begun at every one."""
    program = (
        "import os, signal, sys, pathlib; from dataclasses import replace; from tests.training.test_loop import *\n"
        "asked = iter([False] * 59)\n"
        "stop = lambda: next(asked, None) is None and os.kill(os.getpid(), signal.SIGKILL)\n"
        "often = replace(CONFIG, training=replace(CONFIG.training, checkpoint_seconds=0))\n"
        "train(often, SET, pathlib.Path(sys.argv[1]), stop)"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, capture_output=True, timeout=300)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    found = newest(tmp_path / "checkpoints")
    assert found
    assert 50 < found.progress.step <= 60
    train(CONFIG, SET, tmp_path)
    name = "model/weights.safetensors"
    assert (tmp_path / name).read_bytes() == (unbroken[0] / name).read_bytes()


def test_a_run_killed_between_its_two_trainings_still_trains_anew_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest checkpoint is that of the first training's last epoch, the best epoch's weights are older, and the
    weights validated are not yet written."""
    often = replace(CONFIG, training=replace(CONFIG.training, checkpoint_seconds=0))
    recalls = [0.6, 0.4, 0.3]
    given = iter(2 * recalls)
    monkeypatch.setattr("bidrec.training.loop.validation_recall", lambda *_: next(given))
    wanted = train(CONFIG, SET, tmp_path / "unbroken")

    def cut(*_: object) -> None:
        raise OSError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr("bidrec.training.loop.saved.save_model", cut)
        with pytest.raises(OSError, match="power cut"):
            train(often, SET, tmp_path / "killed")
    kept = newest(tmp_path / "killed" / "checkpoints")
    assert kept
    assert kept.progress.finished
    assert not (tmp_path / "killed" / "validated").exists()
    facts = train(CONFIG, SET, tmp_path / "killed")
    assert (facts["refit"], facts["epochs"]) == (True, 1)
    assert curve(facts) == curve(wanted)
    for name in ("model/weights.safetensors", "validated/weights.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes()


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


def test_the_seed_model_learns_from_pairs_which_companies_bid_on_which_kind(tmp_path: Path) -> None:
    model = replace(SMALL, kind="static", dropout=0.0, temperature=0.2, learn_temperature=False)
    facts = train(Config(model=model, training=Training(batch_size=32, epochs=3, refit=False)), SET, tmp_path)
    assert [entry["temperature"] for entry in facts["curve"]] == pytest.approx([0.2] * 3)
    learned, data = load_model(SET.schema, tmp_path / "model"), Resident.of(SET, torch.device("cpu"))
    assert validation_recall(learned, data, SET.validation_from, SET.cutoff, k=8) > 0.9


@pytest.mark.parametrize("checkpoint_seconds", [0, 60])
def test_a_loss_that_is_not_finite_stops_the_run_names_its_rows_and_keeps_the_last_good_checkpoint(
    tmp_path: Path, checkpoint_seconds: int
) -> None:
    """One notice's number is infinite: the step that learns from it is named, though the look comes later."""
    settings = Training(batch_size=20, epochs=1, refit=False, checkpoint_seconds=checkpoint_seconds)
    static = Config(model=replace(SMALL, kind="static"), training=settings)
    steps = PairSteps(static, Resident.of(SET, torch.device("cpu")), SET.validation_from)
    notices = [SET.pair_notice[steps.rows(at).numpy()].tolist() for at in range(steps.batches(epoch=0))]
    notice = next(notice for notice in notices[3] if not any(notice in before for before in notices[:3]))
    dense = SET.notice.dense.copy()
    dense[notice] = np.inf
    spoiled = replace(SET, notice=replace(SET.notice, dense=dense))
    asked = iter([False, True])
    with pytest.raises(Interrupted):
        train(static, spoiled, tmp_path, lambda: next(asked))
    with pytest.raises(
        BidrecError, match=r"the loss is nan at step \d+; its rows are in .*offending_batch.json"
    ) as error:
        train(static, spoiled, tmp_path)
    assert error.value.exit_code == 70
    found = json.loads((tmp_path / "offending_batch.json").read_text())
    assert (found["step"], found["rows_of"]) == (3, "pair")
    assert notice in SET.pair_notice[found["rows"]]
    assert SET.pair_notice[found["rows_of_the_step_before"]].tolist() == notices[2]
    kept = newest(tmp_path / "checkpoints")
    assert kept
    assert kept.progress.step == (2 if checkpoint_seconds else 3)
    assert all(bool(value.isfinite().all()) for name, value in kept.state.items() if name.startswith("model."))


@pytest.mark.parametrize(("at", "kept"), [(3, 3), (-1, None)])
def test_weights_that_a_step_with_a_finite_loss_made_infinite_stop_the_run_and_are_in_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, kept: int | None
) -> None:
    """An infinite gradient: in the middle, with a checkpoint at each step, or in an epoch's last step, after which no
    loss would tell."""
    settings = Training(batch_size=20, epochs=1, refit=False, checkpoint_seconds=0 if kept else 60)
    config = Config(model=replace(SMALL, kind="static"), training=settings)
    steps = PairSteps(config, Resident.of(SET, torch.device("cpu")), SET.validation_from)
    bad = range(steps.batches(epoch=0))[at]
    gradients = Watch.gradients

    def spoil(watch: Watch, parameters: Iterable[torch.nn.Parameter], step: int, first: bool) -> None:
        parameters = list(parameters)
        if step == bad:
            next(value.grad for value in parameters if value.grad is not None).view(-1)[0] = torch.inf
        gradients(watch, parameters, step, first)

    monkeypatch.setattr(Watch, "gradients", spoil)
    with pytest.raises(BidrecError, match=rf"a weight is not finite at step {bad}; its rows are in") as error:
        train(config, SET, tmp_path)
    assert error.value.exit_code == 70
    found = json.loads((tmp_path / "offending_batch.json").read_text())
    assert (found["step"], found["rows"]) == (bad, steps.rows(bad).tolist())
    last = newest(tmp_path / "checkpoints")
    assert (last and last.progress.step) == kept
    assert not (tmp_path / "model").exists()


def test_an_epoch_whose_last_step_was_taken_before_the_training_was_stopped_has_no_rate(tmp_path: Path) -> None:
    steps = steps_for(CONFIG, Resident.of(SET, torch.device("cpu")), SET.validation_from, torch.device("cpu"))
    epoch = steps.batches(0)
    asked = iter([False] * (epoch - 1))
    with pytest.raises(Interrupted, match=f"stopped at step {epoch};"):
        train(CONFIG, SET, tmp_path, lambda: next(asked, True))
    first, *others = train(CONFIG, SET, tmp_path)["curve"]
    assert "steps_per_second" not in first
    assert all(entry["steps_per_second"] > 0 for entry in others)


def test_loss_gradient_norm_and_learning_rate_stand_in_every_epochs_entry(unbroken: tuple[Path, dict]) -> None:
    """The rate falls to nothing over each of the two trainings, whatever the number of their epochs."""
    entries = unbroken[1]["curve"]
    assert min(entry["gradient_norm"] for entry in entries) > 0
    assert all(0 < entry["loss"] < math.log(SET.companies) for entry in entries)  # a step's: better than by chance
    for first_training in (True, False):
        rates = [entry["learning_rate"] for entry in entries if ("validation_recall@100" in entry) == first_training]
        left = [1 - (number + 1) / len(rates) for number in range(len(rates))]
        assert rates == pytest.approx([CONFIG.training.learning_rate * share for share in left], abs=4e-4)
        assert rates[-1] > 0
