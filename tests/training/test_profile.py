import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from structlog.testing import capture_logs
from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEvent

from bidrec.config import Config, Loss, Model, Training
from bidrec.training.loop import train
from bidrec.training.profile import PARTS, STEPS, summary
from tests.training.sets import training_set

SET = training_set(notices=200)
SMALL = Model(embedding_dim=8, table_dim=16, hidden=(8,), company_hidden=8, history_length=8)
ONCE = Training(batch_size=4, epochs=1, refit=False)


@pytest.mark.parametrize(
    "config",
    [Config(model=SMALL, training=ONCE), Config(model=replace(SMALL, kind="static"), loss=Loss(), training=ONCE)],
    ids=["history", "static"],
)
def test_a_profile_is_a_trace_of_some_steps_and_the_milliseconds_of_their_parts(tmp_path: Path, config: Config) -> None:
    with capture_logs() as logs:
        train(config, SET, tmp_path, profile=True)
    found = json.loads((tmp_path / "profile" / "summary.json").read_text())
    assert found["steps"] == STEPS
    parts = [found[f"{part}_ms"] for part in PARTS]
    assert min(parts) > 0
    assert sum(parts) + found["other_ms"] == pytest.approx(found["step_ms"], abs=0.01)
    assert [entry["forward_ms"] for entry in logs if entry["event"] == "profile"] == [found["forward_ms"]]
    events = json.loads((tmp_path / "profile" / "trace.json").read_text())["traceEvents"]
    named = [event["name"] for event in events if event.get("cat") == "user_annotation"]
    assert named.count("step") == named.count("backward") == STEPS
    assert "gather" in named


def event(name: str, micros: int, where: DeviceType, *, annotation: bool) -> FunctionEvent:
    return FunctionEvent(0, name, 0, 0, micros, device_type=where, use_device="cuda", is_user_annotation=annotation)


def test_a_step_is_one_though_a_gpu_has_an_entry_of_its_own_for_it() -> None:
    """torch writes a named part twice: when the host launched it, and when the GPU ran what was launched."""
    events = [
        event(name, micros, where, annotation=True)
        for name, micros in (("step", 4000), ("forward", 1000))
        for where in (DeviceType.CPU, DeviceType.CUDA)
    ]
    events = 2 * [*events, event("gemm", 3000, DeviceType.CUDA, annotation=False)]
    found = summary(events, cuda=True)
    assert found["steps"] == 2
    assert (found["step_ms"], found["forward_ms"], found["device_busy_ms"]) == (4, 1, 3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_a_profile_of_a_gpu_says_how_long_that_was_busy(tmp_path: Path) -> None:
    train(Config(model=SMALL, training=replace(ONCE, device="cuda")), SET, tmp_path, profile=True)
    found = json.loads((tmp_path / "profile" / "summary.json").read_text())
    assert found["steps"] == STEPS
    assert found["device_busy_ms"] > 0


def test_a_training_too_short_to_profile_says_so_and_writes_nothing(tmp_path: Path) -> None:
    config = Config(model=replace(SMALL, kind="static"), training=replace(ONCE, batch_size=1000))
    with capture_logs() as logs:
        train(config, SET, tmp_path, profile=True)
    warned = [entry["event"] for entry in logs if entry["log_level"] == "warning"]
    assert [event for event in warned if "validation" not in event and "GPU" not in event] == [
        "too few steps to profile"
    ]
    assert not (tmp_path / "profile").exists()
