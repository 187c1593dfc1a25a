import itertools
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import cgroup, training
from benchmarks import training_seed as seed
from benchmarks.training_contenders import CONTENDERS
from benchmarks.training_recipes import SEED_MODEL, SEED_RECIPE
from benchmarks.training_start import started
from benchmarks.training_world import written
from bidrec.config import Config
from bidrec.model.towers import StaticTower
from bidrec.model.two_tower import build
from bidrec.training import notice_steps
from bidrec.training.optimiser import optimiser_for
from bidrec.training.pair_steps import PairSteps
from bidrec.training.resident import Resident
from bidrec.training_set.load import TrainingSet
from tests.pretend_gpu import pretend_gpu

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


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_all_contenders_run_and_are_compared(world: TrainingSet, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU too, which is pretended."""
    names = [*training.REMARKS, "pipeline:static", "pipeline:history"]
    alone = {"torchrec:sparse_dist"}  # a process group, which would stay with the tests
    settings = {"seconds": 0.01, "most": 2, "batch": 64, "steps": 12, "device": device, "recipe": {}}
    monkeypatch.setattr(notice_steps, "FEWEST_STEPS", 14)
    with pretend_gpu(monkeypatch) if device == "cuda" else nullcontext(), torch.compiler.set_stance("force_eager"):
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
    found = {"rows": rows, **training.ratios(rows, training.RECIPES[device], ())}
    wanted = {"pipeline_over_floor", "default_pipeline_over_floor", "p99_over_median", "over_best_seed_loop"}
    assert wanted | {"pairs_over_best_seed_loop", "fast_pairs_over_best_seed_loop"} <= found.keys()
    lines = training.table(found).splitlines()
    assert [line.split()[0] for line in lines[1:8]] == [name for name in names if name not in alone][:7]


def test_a_start_is_measured_from_the_start_of_a_process(world: TrainingSet) -> None:
    found = training.starts(world.folder, {"device": "cpu"})
    assert set(found) == {"imports_s", "startup_s", "after_writing_s", "startup_peak_mib"}
    assert min(found.values()) > 0


def test_a_set_is_streamed_in_a_control_group_or_it_is_said_why_not(
    world: TrainingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    ratios = training.streamed_ratios(training.streamed(world.folder, {"steps": 12}))
    assert (ratios.get("streamed_over_floor", 0) > 0) == (cgroup.missing() is None)

    def none_of_ones_own() -> str:
        return "no control group of one's own"

    monkeypatch.setattr(cgroup, "missing", none_of_ones_own)
    row = training.streamed(world.folder, {"steps": 12})
    assert row == {"remark": "not measured: no control group of one's own"}
    assert training.streamed_ratios(row) == {}


def contender(name: str) -> Callable[..., dict]:
    return CONTENDERS[name.split(":")[0]]
