import itertools
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from benchmarks import cgroup, training, training_torchrec
from benchmarks import training_ours as ours
from benchmarks import training_seed as seed
from benchmarks.training_clock import Clock
from benchmarks.training_contenders import CONTENDERS
from benchmarks.training_recipes import SEED_MODEL, SEED_RECIPE, configuration
from benchmarks.training_start import started
from benchmarks.training_world import written
from bidrec.config import Config
from bidrec.model.towers import StaticTower
from bidrec.model.two_tower import build
from bidrec.training import notice_steps
from bidrec.training.optimiser import optimiser_for
from bidrec.training.pair_steps import PairSteps
from bidrec.training.resident import Resident
from bidrec.training.steps import steps_for
from bidrec.training_set.arrays import TrainingSet
from tests.training.sets import ON_A_GPU

STEPS = 4
MODEL = replace(SEED_MODEL, dropout=0.0)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    return TrainingSet.open(written(tmp_path_factory.mktemp("world"), 0.0005))


def test_the_invented_set_knows_nothing_ahead_of_its_time(world: TrainingSet) -> None:
    """A pair's version is the newest by the notice's publication, and its log holds the bids opened by then."""
    key = world.version_company.astype(np.int64) << 34 | world.version_known_at + 86_400
    assert (np.diff(key) > 0).all()
    published = world.notice_published_at[world.pair_notice]
    wanted = np.searchsorted(key, world.pair_company.astype(np.int64) << 34 | published + 86_400, side="right") - 1
    assert (world.pair_version == wanted).all()
    for version in range(0, len(key), 97):
        begin, end = world.version_log_begin[version], world.version_log_end[version]
        assert set(world.log_company[begin:end]) <= {world.version_company[version]}
        later = world.log_known_at[begin:end] > world.version_known_at[version]
        assert not later.any()


def copied(tower: seed.Tower, ours: StaticTower, schema: dict) -> None:
    """The seed's tower with our weights: a table a field of our one."""
    for field in schema["attributes"]:
        rows = slice(field["base"], field["base"] + field["size"])
        tower.tables[field["name"]].weight.data.copy_(ours.fields.attributes.weight.data[rows])
    tower.network.load_state_dict(ours.network.state_dict())


@pytest.mark.parametrize("loop", sorted(seed.LOOPS))
def test_the_seeds_loops_and_ours_have_the_same_losses_on_the_same_batches(world: TrainingSet, loop: str) -> None:
    """With dense Adam on our tables too, step after step: the same model, loss and optimiser, other machinery."""
    recipe = replace(SEED_RECIPE, table_optimiser="adam", batch_size=64)
    torch.manual_seed(1)
    model = build(MODEL, world.schema)
    optimiser = optimiser_for(model, recipe)
    theirs = seed.PlainStep(world, MODEL, torch.device("cpu"), recipe.learning_rate, recipe.weight_decay)
    copied(theirs.notice, model.notice, world.schema["notice"])
    copied(theirs.company, model.company, world.schema["profile"])
    steps = PairSteps(
        Config(model=MODEL, training=recipe), Resident.of(world, torch.device("cpu")), world.validation_from
    )
    steps.batches(0)
    source = seed.LOOPS[loop](seed.Pairs(world), [steps.rows(at).tolist() for at in range(STEPS)])
    wanted = [theirs(batch) for batch in itertools.islice(source, STEPS)]
    losses = []
    for at in range(STEPS):
        loss = steps.learn(model, steps.gathered(at))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses == pytest.approx(wanted, abs=2e-5)
    assert len(set(losses)) == STEPS


def test_torchrecs_pipeline_has_the_losses_of_the_seeds_step_on_the_same_batches(world: TrainingSet) -> None:
    """Each draws its batches with the same seed."""
    recipe, size = {"learning_rate": 1e-3, "weight_decay": 1e-5}, 64
    step = seed.PlainStep(world, MODEL, torch.device("cpu"), **recipe)
    pipeline = training_torchrec.base(world, MODEL, torch.device("cpu"), **recipe)
    for mine, theirs in ((step.notice, pipeline._model.notice), (step.company, pipeline._model.company)):
        theirs.network.load_state_dict(mine.network.state_dict())
        for field, table in mine.tables.items():
            theirs.bags.embedding_bags[field].weight.data.copy_(table.weight.data)
    rows = seed.collated(seed.Pairs(world), seed.random_batches(len(world.pair_notice), size))
    columns = training_torchrec.batches(world, size)
    own = torch.arange(size)
    losses = [functional.cross_entropy(pipeline.progress(columns), own).item() for _ in range(STEPS)]
    assert losses == pytest.approx([step(next(rows)) for _ in range(STEPS)], abs=2e-5)
    assert len(set(losses)) == STEPS


@pytest.mark.parametrize("machine", ["cpu", pytest.param("gpu", marks=ON_A_GPU)])
def test_all_contenders_run_and_are_compared(world: TrainingSet, machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    device = "cpu" if machine == "cpu" else "cuda"
    names = [*training.REMARKS, "pipeline:static", "pipeline:history"]
    alone = {"torchrec:sparse_dist"}  # a process group, which would stay with the tests
    settings = {"seconds": 0.01, "most": 2, "batch": 64, "steps": 12, "device": device, "recipe": {}}
    monkeypatch.setattr(notice_steps, "FEWEST_STEPS", 14)
    with torch.compiler.set_stance("default" if machine == "gpu" else "force_eager"):
        rows = {
            name: contender(name)(world, name.split(":")[-1], settings) | {"peak_mib": 1}
            for name in names
            if name not in alone
        }
        for kind, recipe in list(training.RECIPES[device].items())[1:]:
            found = contender("pipeline")(world, "static", settings | {"recipe": recipe})
            rows[f"pipeline:{kind}"] = found | {"peak_mib": 1}
        rows["pipeline:streamed"] = {"remark": "not measured"}
        found = started(world.folder, settings | {"began": time.time()})
    assert found["after_writing_s"] > 0
    assert found["startup_s"] > 0
    assert [name for name, row in rows.items() if "it_s" not in row] == ["pipeline:streamed"]
    found = {"rows": rows, "device": device, **training.ratios(rows, training.RECIPES[device], ())}
    wanted = {"pipeline_over_floor", "default_pipeline_over_floor", "p99_over_median", "over_best_seed_loop"}
    assert wanted | {"pairs_over_best_seed_loop", "fast_pairs_over_best_seed_loop"} <= found.keys()
    lines = training.table(found).splitlines()
    assert [line.split()[0] for line in lines[1:8]] == [name for name in names if name not in alone][:7]


def test_steps_are_told_from_borders_epochs_from_each_other_and_stolen_time_from_ours() -> None:
    """Epochs of ten steps, 2 ms each in the first and 4 in the second; one of 20 ms, in which the host took time."""
    seconds = [0.002] * 10 + [0.004] * 10 + [0.002] * 5
    seconds[9] = seconds[19] = 1.5  # validation is in the first step after an epoch
    seconds[4] = 0.02
    watch = ours.Watch(25, Clock(torch.device("cpu")), every=5, floor_steps=2)
    watch.step_marks = [(0.0, one) for one in seconds]
    watch.floor_marks = [(0.0, 0.001)] * 10
    watch.stolen = [3 if one == 0.02 else 0 for one in seconds]
    watch.cpu, watch.floor_cpu = 0.1, 0.02
    found = ours.summary(watch, epoch_steps=10, pairs=7.5)
    inside = 13 * 0.002 + 9 * 0.004 + 0.02
    wanted = {
        "it_s": 23 / inside,
        "pairs_s": 23 / inside * 7.5,
        "p50_ms": 2,
        "max_over_median": 10,
        "over_3_medians": 1,
        "undisturbed_max_over_median": 2,
        "undisturbed_over_3_medians": 0,
        "floor_it_s": 1_000,
        "over_floor": 0.001 * 23 / inside,
        "cpu_over_floor": 0.5,
        "cpu_ms": 4,
    }
    assert {name: found[name] for name in wanted} == pytest.approx(wanted)
    assert found["between_epochs_s"] == [1.5, 1.5]
    assert found["epochs_over_floor"] == pytest.approx([0.5, 0.25])
    assert found["chunks_over_floor"] == pytest.approx([0.5])


def test_the_floor_is_measured_in_every_epoch_however_short(world: TrainingSet) -> None:
    config = configuration("static")
    steps = ours.steps_of_an_epoch(world, config)
    assert 2 * steps < ours.between(config)[0]
    found = ours.measure(world, config, 2 * steps, steps)
    assert len(found["epochs_over_floor"]) == 2
    assert min(found["epochs_over_floor"]) > 0


def test_the_floor_computes_as_the_training_does_from_its_first_step(
    world: TrainingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled layers whose matrix products are to be of another precision are compiled anew: in a step that counts."""
    step, seen = ours.Floor.step, []

    def noted(floor: ours.Floor) -> None:
        seen.append(torch.get_float32_matmul_precision())
        step(floor)

    monkeypatch.setattr(ours.Floor, "step", noted)
    ours.measure(world, configuration("static", precision="bfloat16"), 2, 10)
    assert len(seen) > 5
    assert set(seen) == {"high"}


@pytest.mark.parametrize("kind", ["static", "history"])
def test_pairs_are_bids_whatever_a_batch_is_made_of(world: TrainingSet, kind: str, monkeypatch) -> None:
    """Of the default model nearly: what is known of a stretch's companies is as of its first notice."""
    monkeypatch.setattr(notice_steps, "FEWEST_STEPS", 500)
    config = configuration(kind)
    steps = steps_for(config, Resident.of(world, torch.device("cpu")), world.validation_from, torch.device("cpu"))
    rows = [steps.rows(at) for at in range(steps.batches(0))]
    if kind == "history":
        model = build(config.model, world.schema)
        steps.start_epoch(model)
        rows = [steps.gathered(at).stretch.company_E for at in range(len(rows))]
    assert ours.learned_pairs(world) == pytest.approx(sum(map(len, rows)), rel=0.05 if kind == "history" else 0)


def test_our_steps_are_compared_with_the_best_of_the_seeds_loops_and_our_best_batch_size_with_its_pairs() -> None:
    rows: dict[str, dict] = {}
    for loop, it_s in (("collate", 20.0), ("async", 25.0), ("overlap", 10.0), ("tuned", 15.0)):
        training.keep_best(rows, f"seed:{loop}", {"it_s": it_s, "pairs_s": it_s * 256, "cpu_ms": 40.0})
        training.keep_best(rows, f"seed:{loop}", {"it_s": it_s - 5, "pairs_s": 1.0, "cpu_ms": 1.0})
    ours_row = {"over_floor": 0.96, "chunks_over_floor": [0.97, 0.9, 0.99], "cpu_over_floor": 0.98}
    ours_row |= {"p99_over_median": 1.5, "max_over_median": 4.0, "undisturbed_max_over_median": 2.0, "cpu_ms": 8.0}
    for name, it_s, pairs_s in (("static", 100.0, 25_600.0), ("static:1024", 60.0, 61_440.0), ("static:4096", 10, 4e4)):
        rows[f"pipeline:{name}"] = ours_row | {"it_s": it_s, "pairs_s": pairs_s}
    rows["pipeline:history"] = {"over_floor": 0.95, "it_s": 2.0}
    assert training.ratios(rows, ["static"], [1024, 4096]) == {
        "default_pipeline_over_floor": 0.95,
        "pipeline_over_floor": 0.96,
        "pipeline_over_floor_least_chunk": 0.9,
        "pipeline_over_floor_cpu": 0.98,
        "p99_over_median": 1.5,
        "max_over_median": 4.0,
        "undisturbed_max_over_median": 2.0,
        "over_best_seed_loop": 4.0,
        "over_seed_collate_cpu": 5.0,
        "best_batch_size": 1024,
        "pairs_over_best_seed_loop": 9.6,
    }


def test_a_contender_that_fails_is_a_remark_and_the_others_are_compared(
    world: TrainingSet, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    found = training.tried("pipeline:static", world.folder, {"device": "cpu", "steps": 3, "recipe": {"compile": True}})
    assert found.keys() == {"remark"}
    assert found["remark"].startswith("failed: bidrec.errors.DependencyDown: training.compile needs a C++")
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setitem(training.LONGEST, "cpu", 0.05)
    assert training.tried("resident", world.folder, {"device": "cpu"}) == {"remark": "failed: given up after 0.05 s"}
    row = {"over_floor": 0.9, "chunks_over_floor": [0.9], "cpu_over_floor": 0.9, "it_s": 8.0, "pairs_s": 80.0}
    row |= {"p99_over_median": 1, "max_over_median": 1, "undisturbed_max_over_median": 1, "cpu_ms": 1.0}
    rows = {f"seed:{loop}": {"remark": "failed"} for loop in training.SEED}
    rows |= {"pipeline:static": row, "pipeline:static:1024": found, "pipeline:fast": found, "pipeline:history": found}
    found = training.ratios(rows, ["static", "fast"], [1024])
    assert (found["pipeline_over_floor"], found["best_batch_size"]) == (0.9, 256)
    assert not [name for name in found if "seed" in name or "fast" in name or "default" in name]
    rows["seed:tuned"] = {"it_s": 2.0, "pairs_s": 20.0}
    assert training.ratios(rows, ["static"], [1024])["over_best_seed_loop"] == 4


def test_ours_run_before_the_others_which_may_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def tried(name: str, *_: Any) -> dict[str, str]:
        ran.append(name)
        return {"remark": "failed"}

    monkeypatch.setattr(training, "tried", tried)
    monkeypatch.setattr(training, "starts", lambda *_: {})
    monkeypatch.setattr(training, "streamed", lambda *_: {})
    options = Namespace(device="cuda", seconds=1, steps=10, rounds=1, sizes=[4_096], scale=1, recall=False)
    found = training.compare(tmp_path, options)
    theirs = list(training.REMARKS)
    assert ran[-len(theirs) :] == theirs
    assert ran[: -len(theirs)] == ["pipeline:history"] + ["pipeline:static"] * 6
    assert found["rows"].keys() >= {"pipeline:bfloat16:4096", *theirs}


def test_how_busy_a_gpu_is_is_not_told_by_what_its_host_does() -> None:
    ours = {"over_floor": 0.9, "p99_over_median": 1, "floor_it_s": 9.0, "it_s": 8.0, "pairs_s": 80.0, "peak_mib": 1}
    theirs = {"busy": 0.7, "it_s": 2.0, "pairs_s": 20.0, "peak_mib": 1}
    rows = {"pipeline:static": ours, "pipeline:fast": ours | {"gpu_busy": 0.3}, "seed:tuned": theirs}

    def busy(device: str) -> list[str]:
        return [line.split()[3] for line in training.table({"rows": rows, "device": device}).splitlines()[1:6]]

    assert busy("cpu") == ["100%", "90%", "100%", "30%", "70%"]
    assert busy("cuda") == ["-", "-", "-", "30%", "-"]


def test_a_start_is_measured_from_the_start_of_a_process(world: TrainingSet) -> None:
    found = training.starts(world.folder, {"device": "cpu"})
    assert set(found) == {"imports_s", "startup_s", "after_writing_s", "startup_peak_mib"}
    assert min(found.values()) > 0


def test_a_set_is_streamed_in_a_control_group_or_it_is_said_why_not(
    world: TrainingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    ratios = training.streamed_ratios(training.streamed(world.folder, {"steps": 12, "device": "cpu"}))
    assert (ratios.get("streamed_over_floor", 0) > 0) == (cgroup.missing() is None)

    def none_of_ones_own() -> str:
        return "no control group of one's own"

    monkeypatch.setattr(cgroup, "missing", none_of_ones_own)
    row = training.streamed(world.folder, {"steps": 12, "device": "cpu"})
    assert row == {"remark": "not measured: no control group of one's own"}
    assert training.streamed_ratios(row) == {}


def contender(name: str) -> Callable[..., dict]:
    return CONTENDERS[name.split(":")[0]]
