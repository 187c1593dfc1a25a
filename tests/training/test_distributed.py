"""Two real processes, started as a user starts them, beside one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bidrec.model.tables import Table
from bidrec.storage.sealed import read_manifest
from bidrec.training import distributed, saved
from tests.training.ranks import HANDED_ON, HANDED_ON_AFTER, KINDS, note_losses, stopped

ROOT = Path(__file__).parents[2]


def torchrun(processes: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    begun = stopped(HANDED_ON, folder / "handed-on", HANDED_ON_AFTER)
    (folder / "begun.json").write_text(json.dumps(begun), encoding="utf-8")
    done = torchrun(2, "-m", "tests.training.ranks", str(folder))
    assert done.returncode == 0, done.stderr[-5000:]
    return folder


def heard_in(folder: Path) -> list[dict]:
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / saved.WEIGHTS)


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_with_half_a_batch_each_stopped_and_resumed_have_the_losses_of_one(
    tmp_path: Path, together: Path, kind: str
) -> None:
    alone: list[float] = []
    note_losses(alone, KINDS[kind], tmp_path)
    assert len(alone) >= 200
    found = json.loads((together / "losses.json").read_text())[kind]
    assert len(found) == len(alone)
    assert found[:200] == pytest.approx(alone[:200], rel=1e-5)
    torch.testing.assert_close(weights(together / kind), weights(tmp_path), rtol=1e-4, atol=1e-4)
    written = [read_manifest(run / "model") for run in (together / kind, tmp_path)]
    assert written[0]["parameters"] == written[1]["parameters"]


def test_one_process_hands_a_training_with_sharded_tables_on_to_two_and_they_hand_it_back(
    tmp_path: Path, together: Path
) -> None:
    alone: list[float] = []
    note_losses(alone, HANDED_ON, tmp_path)
    found = json.loads((together / "begun.json").read_text())
    found += json.loads((together / "losses.json").read_text())["handed on"]
    note_losses(found, HANDED_ON, together / "handed-on")
    assert found == pytest.approx(alone, rel=1e-5)
    torch.testing.assert_close(weights(together / "handed-on"), weights(tmp_path), rtol=1e-4, atol=1e-4)


def test_what_a_process_draws_for_itself_has_a_seed_that_torch_takes_however_large_the_configured_one() -> None:
    generator, seeds = torch.Generator(), []
    for seed, step in ((7, 5), (7, 6), (20_261_128, 0), (20_261_128, 1), (2**63 - 1, 10**9)):
        distributed.start_step(seed, step)
        seeds += [next(distributed._own_seeds), next(distributed._own_seeds)]
        generator.manual_seed(seeds[-1])
    assert len(set(seeds)) == len(seeds)
    assert seeds[:2] == [(7 * 1_000_003 + 5) * 2**24, (7 * 1_000_003 + 5) * 2**24 + 1]


def test_each_process_holds_half_of_a_large_table_or_one_of_two(together: Path) -> None:
    of_one_member, of_two = zip(*(each["rows"] for each in heard_in(together)), strict=True)
    assert of_one_member == ([6, 25], [6, 25])
    assert sorted(of_two) == [[6, 0, 6, 50], [6, 50, 6, 0]]


def test_copies_of_a_bfloat16_table_are_rounded_alike(together: Path) -> None:
    one, other = (torch.tensor(each["bfloat16"]) for each in heard_in(together))
    torch.manual_seed(0)
    untouched = Table(40, 4, spread=0.1)
    untouched.halve()
    assert torch.equal(one, other)
    assert (one != untouched.weight).float().mean() > 0.9


def test_where_sharded_tables_have_no_room_every_process_says_what_to_do(together: Path) -> None:
    one, other = (each["too_small"] for each in heard_in(together))
    assert one == other
    assert "do not fit into the memory of all processes together (hint: start more processes" in one


def test_processes_hear_why_the_first_one_failed_and_what_any_of_them_was_asked(together: Path) -> None:
    heard = heard_in(together)
    assert [each["part"] for each in heard] == [[0, 1, 2, 3], [4, 5, 6]]
    for each in heard:
        assert each["size"] == 2
        assert each["refusal"] == "no source (hint: set [source])"
        assert each["agreed"] == [True, False]


def test_what_an_error_would_keep_is_gone_when_the_processes_part(together: Path) -> None:
    """A model kept beyond that ends the group, and may wait for its thread for ever (bidrec/training/processes.py)."""
    assert [json.loads((together / f"{rank}-held.json").read_text()) for rank in range(2)] == [[False] * 2] * 2
