import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
import torch
from torch._dynamo.utils import counters

from bidrec.config import Config, Model, Training
from bidrec.errors import DependencyDown
from bidrec.model.towers import network
from bidrec.model.two_tower import build
from bidrec.training.loop import train
from bidrec.training.machine import COMPILERS, arithmetic, choose_device, compiled, fit_to, threads
from bidrec.training.resident import Resident
from bidrec.training.saved import load_model
from bidrec.training.validation import validation_recall
from tests.training.sets import ON_A_GPU, training_set

SET = training_set()
CPU = torch.device("cpu")
SMALL = Model(embedding_dim=8, table_dim=16, hidden=(16,), company_hidden=16, history_length=8)
CONFIG = Config(model=SMALL, training=Training(batch_size=20, epochs=2, candidates=16, refit=False))
needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, COMPILERS["cpu"][-1])), reason="there is no C++ compiler here"
)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_a_missing_dependency() -> None:
    with pytest.raises(DependencyDown):
        choose_device("cuda")
    assert choose_device("auto").type == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_build_for_a_gpu_that_finds_none_says_so_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with structlog.testing.capture_logs() as said:
        assert choose_device("auto").type == "cpu"
        assert choose_device("cpu").type == "cpu"
    assert [entry["log_level"] for entry in said] == ["warning"]


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=ON_A_GPU)])
def test_half_the_digits_learn_as_well(tmp_path: Path, device: str) -> None:
    """Among 40 companies, a notice's four bidders ranked by kind: no worse in bfloat16 than in float32."""
    recalls = {}
    for precision in ("float32", "bfloat16"):
        settings = replace(CONFIG.training, precision=precision, device=device, epochs=3)
        facts = train(replace(CONFIG, training=settings), SET, tmp_path / precision)
        losses = [entry["loss"] for entry in facts["curve"]]
        assert losses[-1] < losses[0]
        model, data = load_model(SET.schema, tmp_path / precision / "model"), Resident.of(SET, CPU)
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
        recalls[precision] = validation_recall(model, data, SET.validation_from, SET.cutoff, k=8)
    assert recalls["bfloat16"] > recalls["float32"] - 0.02


def test_in_bfloat16_the_vectors_are_float32_of_length_one_and_near_the_exact_ones() -> None:
    data, rows = Resident.of(SET, CPU), torch.arange(20)
    vectors = []
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(1)
        model = fit_to(build(SMALL, SET.schema).eval(), replace(CONFIG.training, precision=precision), CPU)
        vectors.append(model.notice(data.notice.take(rows)))
    assert vectors[1].dtype == torch.float32
    torch.testing.assert_close(vectors[1].norm(dim=1), torch.ones(20))
    assert 0 < (vectors[0] - vectors[1]).abs().max() < 0.02


def test_deterministic_algorithms_are_on_while_it_trains_and_as_before_afterwards(tmp_path: Path) -> None:
    seen = set()

    def stop() -> bool:
        seen.add(torch.are_deterministic_algorithms_enabled())
        return False

    once = replace(CONFIG, training=replace(CONFIG.training, epochs=1, deterministic=True))
    train(once, SET, tmp_path, stop)
    assert seen == {True}
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_thread_computes_as_before_after_a_training_that_failed() -> None:
    before = torch.get_float32_matmul_precision(), torch.get_num_threads()
    config = Config(
        model=Model(kind="static"), training=Training(precision="bfloat16", deterministic=True, batch_size=10)
    )
    with pytest.raises(ZeroDivisionError), arithmetic(config):
        raise ZeroDivisionError
    assert (torch.get_float32_matmul_precision(), torch.get_num_threads()) == before
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    ("kind", "batch_size", "usual", "taken"),
    [
        ("static", 10, 4, 1),
        ("static", 256, 4, 1),
        ("static", 512, 4, 2),
        ("static", 4096, 4, 4),
        ("static", 4096, 1, 1),
        ("history", 10, 4, 4),
    ],
)
def test_small_batches_of_pairs_are_computed_by_fewer_threads(
    kind: str, batch_size: int, usual: int, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: usual)
    assert threads(Config(model=Model(kind=kind), training=Training(batch_size=batch_size))) == taken


def test_a_training_computes_with_the_threads_of_its_batches(tmp_path: Path) -> None:
    before, seen = torch.get_num_threads(), set()

    def stop() -> bool:
        seen.add(torch.get_num_threads())
        return False

    torch.set_num_threads(2)
    try:
        train(replace(CONFIG, model=replace(SMALL, kind="static")), SET, tmp_path, stop)
        assert (seen, torch.get_num_threads()) == ({1}, 2)
    finally:
        torch.set_num_threads(before)


def test_compiling_without_a_compiler_is_a_missing_dependency(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(DependencyDown, match=r"C\+\+ compiler"):
        fit_to(build(SMALL, SET.schema), replace(CONFIG.training, compile=True), CPU)


@needs_compiler
@pytest.mark.parametrize("first_validated", [False, True])
def test_all_layers_are_compiled_into_one_graph(first_validated: bool) -> None:
    model = fit_to(build(replace(SMALL, members=1), SET.schema), replace(CONFIG.training, compile=True), CPU)
    if first_validated:
        with torch.no_grad():
            model.eval().notice.network(torch.rand(3, model.notice.fields.width))
    counters.clear()
    for rows in (20, 7, 300):
        model.train().notice.network(torch.rand(rows, model.notice.fields.width))
    linears = sum(isinstance(layer, torch.nn.Linear) for layer in model.notice.network)
    assert counters["stats"]["unique_graphs"] == 1
    assert counters["stats"]["calls_captured"] >= 2 * linears  # and what lies between
    assert not counters["graph_break"]


@needs_compiler
def test_layers_are_compiled_apart_from_all_that_share_their_code() -> None:
    """torch keeps eight of one code, and has the ninth run as it is."""
    counters.clear()
    for _ in range(9):
        layers = network(6, (4,), 4, dropout=0.0)
        run = compiled(layers)
        for rows in (20, 7):
            given = torch.rand(rows, 6)
            torch.testing.assert_close(run(given), layers(given))
    assert counters["stats"]["unique_graphs"] == 9


@needs_compiler
def test_compiled_layers_give_the_same_vectors_and_gradients_for_any_number_of_rows() -> None:
    data, found = Resident.of(SET, CPU), []
    for compile_layers in (False, True):
        torch.manual_seed(1)
        settings = replace(CONFIG.training, compile=compile_layers)
        model = fit_to(build(replace(SMALL, dropout=0.0), SET.schema), settings, CPU)
        vectors = [model.notice(data.notice.take(torch.arange(rows))) for rows in (20, 7, 300)]
        torch.cat(vectors)[:, 0].sum().backward()
        found.append([*vectors, *(parameter.grad for parameter in model.notice.parameters())])
        assert sorted(model.state_dict()) == sorted(build(SMALL, SET.schema).state_dict())
    torch.testing.assert_close(found[0], found[1])
