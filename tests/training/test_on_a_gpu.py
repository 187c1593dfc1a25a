"""Whole trainings on a GPU; without one, on one that is pretended: where tensors are is tested, and what is learned."""

import json
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from bidrec.config import Config, Loss, Model, Training
from bidrec.errors import Interrupted
from bidrec.model.adam import adam
from bidrec.model.two_tower import build
from bidrec.training import notice_steps
from bidrec.training.loop import train
from bidrec.training.machine import fit_to
from bidrec.training.notice_steps import NoticeSteps
from bidrec.training.optimiser import optimiser_for
from bidrec.training.pair_steps import PairSteps
from bidrec.training.resident import Resident
from tests.drawn_on_the_host import draw_on_the_host
from tests.pretend_gpu import GPU, pretend_gpu
from tests.training import ranks_on_a_gpu
from tests.training.ranks import stopped
from tests.training.sets import training_set
from tests.training.test_distributed import torchrun

SET = training_set(notices=100, records=True)
SMALL = Model(embedding_dim=8, table_dim=16, hidden=(16,), company_hidden=16, history_length=8, members=2)
SMALL = replace(SMALL, dropout=0.0, fact_dropout=0.0)  # masks are drawn in another way on a GPU
STATIC = replace(SMALL, kind="static")
SETTINGS = Training(batch_size=10, epochs=1, candidates=16, history_gradients=15)
SPARSE = replace(SETTINGS, table_optimiser="sparse_adam")
HALF = replace(SPARSE, table_precision="bfloat16")
WHOLE = replace(SPARSE, whole_notices=True)
EVERYTHING = Loss(kind="in_batch", logq=True, two_way=True, other_bidders="masked", uniform_negatives=8)
KINDS = {
    "history": Config(model=SMALL, training=replace(SETTINGS, deterministic=True)),
    "history, in batch": Config(model=SMALL, loss=EVERYTHING, training=replace(SPARSE, clip_norm=0.5)),
    "history, half the digits": Config(
        # With nothing else drawn: how many numbers the rounding by chance draws differs.
        model=SMALL,
        training=replace(HALF, precision="bfloat16", candidates=1000, history_gradients=0),
    ),
    "static": Config(model=STATIC, training=SETTINGS),
    "static, whole notices": Config(model=STATIC, loss=EVERYTHING, training=WHOLE),
    "static, Adagrad": Config(
        model=STATIC, training=replace(SETTINGS, table_optimiser="rowwise_adagrad", deterministic=True)
    ),
    "static, streamed": Config(model=STATIC, training=replace(SPARSE, stream_notices=20)),
}


def on(device: str, config: Config) -> Config:
    return replace(config, training=replace(config.training, device=device))


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each operation on the pretended GPU is looked at, which takes longer than it."""
    monkeypatch.setattr(notice_steps, "FEWEST_STEPS", 8)


def losses(facts: dict) -> list[float]:
    return [entry["loss"] for entry in facts["curve"]]


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_learned_on_a_pretended_gpu_is_what_is_learned_on_the_cpu(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = train(on("cpu", KINDS[kind]), SET, tmp_path / "cpu")
    with pretend_gpu(monkeypatch):
        there = train(on("cuda", KINDS[kind]), SET, tmp_path / "cuda")
    assert len(losses(there)) == 2  # the second is the refit's
    assert losses(there) == pytest.approx(losses(host), rel=1e-2 if "half" in kind else 1e-4)


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("kind", ["history, half the digits", "static, whole notices"])
def test_stopped_on_a_pretended_gpu_and_started_again_it_learns_the_same(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, asked = on("cuda", KINDS[kind]), iter(range(100))
    with pretend_gpu(monkeypatch):
        unbroken = train(config, SET, tmp_path / "unbroken")
        with pytest.raises(Interrupted):
            train(config, SET, tmp_path / "broken", stop=lambda: next(asked) == 2)
        resumed = train(config, SET, tmp_path / "broken")
    assert losses(resumed) == losses(unbroken)


@pytest.mark.parametrize(
    "settings", [SETTINGS, SPARSE, HALF, WHOLE], ids=["dense", "sparse", "half the digits", "whole"]
)
@pytest.mark.parametrize("logq", [False, True])
def test_steps_over_pairs_that_are_gathered_never_wait_for_a_gpu(
    settings: Training, logq: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pretend_gpu(monkeypatch) as gpu:
        config = Config(model=STATIC, loss=Loss(logq=logq), training=settings)
        model = fit_to(build(config.model, SET.schema), config.training, GPU)
        optimiser = optimiser_for(model, config.training)
        steps = PairSteps(config, Resident.of(SET, GPU), SET.validation_from, GPU)
        assert steps.batches(0) > 9
        steps.gathered(0)
        of_a_group = gpu.waits.copy()
        gpu.waits.clear()
        for at in range(1, 9):  # of one group, of 4,096 pairs at most
            optimiser.set_share(0.5)
            steps.learn(model, steps.gathered(at)).backward()
            optimiser.step()
    assert of_a_group
    assert not gpu.waits


@pytest.mark.parametrize("settings", [SETTINGS, SPARSE, HALF], ids=["dense", "sparse", "half the digits"])
def test_steps_over_notices_wait_for_a_gpu_in_their_gather_alone(
    settings: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pretend_gpu(monkeypatch) as gpu:
        config = Config(model=SMALL, training=settings)
        model = fit_to(build(config.model, SET.schema), config.training, GPU)
        optimiser = optimiser_for(model, config.training)
        steps = NoticeSteps(config, Resident.of(SET, GPU), SET.validation_from)
        assert steps.batches(0) > 3
        steps.start_epoch(model)
        for at in range(3):
            gathered = steps.gathered(at)
            assert gpu.waits
            gpu.waits.clear()
            steps.learn(model, gathered).backward()
            optimiser.step()
            assert not gpu.waits


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    done = torchrun(2, "-m", "tests.training.ranks_on_a_gpu", str(folder))
    assert done.returncode == 0, done.stderr[-5000:]
    return folder


@pytest.mark.skipif(torch.version.cuda is not None, reason="the stack is built for GPUs here")
def test_sharded_tables_on_gpus_need_fbgemms_build_for_them_and_every_process_says_so(together: Path) -> None:
    for rank in range(2):
        assert "fbgemm's build for CUDA" in (together / f"{rank}.txt").read_text()


def test_two_processes_on_pretended_gpus_have_the_losses_of_one_on_the_cpu(tmp_path: Path, together: Path) -> None:
    found = json.loads((together / "losses.json").read_text())
    for kind, config in ranks_on_a_gpu.KINDS.items():
        alone = stopped(config, tmp_path / "alone" / kind, ranks_on_a_gpu.STEPS)
        assert found[kind] == pytest.approx(alone, rel=1e-5)


def test_a_row_that_several_gpus_read_is_rounded_once_and_alike(together: Path) -> None:
    copies = [json.loads((together / f"{rank}.json").read_text()) for rank in range(2)]
    assert copies[0] == copies[1]
    on_the_host, on_the_gpu = copies[0]
    assert on_the_gpu == on_the_host


def test_what_a_gpu_would_draw_is_drawn_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = torch.tensor([0.5, 0.25, 0.25])

    def drawn(device: torch.device) -> list[torch.Tensor]:
        torch.manual_seed(1)
        orders = (
            torch.randperm(9, device=device),
            torch.randint(9, (5,), device=device),
            torch.rand(3, 2, device=device),
        )
        return [*orders, torch.multinomial(shares.to(device), 2)]

    wanted = drawn(torch.device("cpu"))
    draw_on_the_host(monkeypatch)
    assert torch.rand.__name__ == "rand"  # for which the compiler asks
    with pretend_gpu(monkeypatch):
        found = drawn(GPU)
        assert {each.device for each in found} == {GPU}
        assert all(torch.equal(there.cpu(), here) for there, here in zip(found, wanted, strict=True))


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


def faster(kind: str, **training: Any) -> Config:
    return replace(KINDS[kind], training=replace(KINDS[kind].training, **training))


ON_A_REAL_ONE = KINDS | {
    "history, compiled": faster("history", deterministic=False, compile=True),
    "history, graphs": faster("history", deterministic=False, cuda_graphs=True),
    "history, graphs, half the digits": faster("history, half the digits", cuda_graphs=True),
    "static, graphs": faster("static, whole notices", cuda_graphs=True),
    "static, graphs, streamed": faster("static, streamed", cuda_graphs=True),
}
"""What a CPU computes without a compiler, and what only a GPU has."""


@pytest.mark.gpu
@needs_gpu
@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("kind", ON_A_REAL_ONE)
def test_what_is_learned_on_a_gpu_is_what_is_learned_on_the_cpu(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nearly: sums of another order differ in their last digits, and half the digits are fewer."""
    config = ON_A_REAL_ONE[kind]
    plain = replace(config, training=replace(config.training, compile=False, cuda_graphs=False))
    host = train(on("cpu", plain), SET, tmp_path / "cpu")
    draw_on_the_host(monkeypatch)
    there = train(on("cuda", config), SET, tmp_path / "cuda")
    assert len(losses(there)) == 2
    assert losses(there) == pytest.approx(losses(host), rel=2e-2 if "half" in kind else 5e-3)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("kind", ["history", "static, Adagrad"])
def test_stopped_on_a_gpu_and_started_again_it_learns_the_same(kind: str, tmp_path: Path) -> None:
    """To the last bit: these are asked to be deterministic."""
    config, asked = on("cuda", KINDS[kind]), iter(range(100))
    unbroken = train(config, SET, tmp_path / "unbroken")
    with pytest.raises(Interrupted):
        train(config, SET, tmp_path / "broken", stop=lambda: next(asked) == 2)
    resumed = train(config, SET, tmp_path / "broken")
    assert losses(resumed) == losses(unbroken)


def test_a_pretended_gpu_refuses_what_a_gpu_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretend_gpu(monkeypatch):
        there, here = torch.arange(3, device=GPU), torch.arange(3)
        assert (there.device, here.device, (there * 2)[1:].device) == (GPU, here.cpu().device, GPU)
        assert (there.is_cuda, here.is_cuda, there.cpu().is_cuda) == (True, False, False)
        assert torch.equal(there.cpu() + here, torch.tensor([0, 2, 4]))
        for wrong in (
            lambda: there + here,
            lambda: here[there],
            lambda: torch.cat([there, here]),
            lambda: torch.zeros(3, dtype=torch.int64).index_add_(0, here, there),
            lambda: torch.nn.functional.embedding(here, torch.rand(3, 2, device=GPU)),
        ):
            with pytest.raises(RuntimeError, match="two devices"):
                wrong()
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()
        assert there[here].device == GPU
        assert (there + torch.tensor(1)).device == GPU


def test_a_pretended_gpu_is_respected_in_the_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: object, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
            return gradient * torch.ones(3)

    with pretend_gpu(monkeypatch):
        x = torch.rand(3, device=GPU, requires_grad=True)
        (x * x).sum().backward()
        assert x.grad is not None
        assert x.grad.device == GPU
        with pytest.raises(RuntimeError, match="two devices"):
            Wrong.apply(x).sum().backward()


def test_a_pretended_gpu_refuses_gradients_that_lie_in_memory_as_their_weights_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pretend_gpu(monkeypatch):
        weight, mean, square = (torch.zeros(3, 2, device=GPU) for _ in range(3))
        for gradient in (torch.ones(3, 2, device=GPU), torch.ones(2, 3, device=GPU).T):
            moved = partial(adam, [weight], [gradient], [mean], [square], [torch.ones((), device=GPU)], 0.1)
            with nullcontext() if gradient.is_contiguous() else pytest.raises(RuntimeError, match="same dtype"):
                moved()


def test_a_pretended_gpu_counts_what_the_host_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretend_gpu(monkeypatch) as gpu:
        x = torch.arange(4, device=GPU)
        _ = x[x > 1], x.nonzero(), x.unique(), x.sum().item(), x.repeat_interleave(x), x.cpu(), x.bincount()
        _ = torch.tensor([1], device=GPU), torch.arange(4).to(GPU), x[[1, 2]]
        x[[0]] += 0
        assert sum(gpu.waits.values()) == 12
        gpu.waits.clear()
        _ = x[x], x.sum(), x.repeat_interleave(x, output_size=6), torch.where(x > 1, x, 0), x.cumsum(0)
        _ = torch.arange(4).pin_memory().to(GPU, non_blocking=True), torch.zeros(4, device=GPU).scatter_(0, x, 1.0)
        marked = torch.zeros(4, dtype=torch.bool, device=GPU)
        marked[x] = True
        assert not gpu.waits
