"""A run's towers as files that torch alone reads, without TorchRec, and what their inputs are made by.

Reads   runs/ID/model, runs/ID/training_set (its schema, vocabularies, scales and IDF)
Writes  a folder, whole or not at all

    notice_tower.pt2, company_tower.pt2   programs of torch.export: weights as raw bytes, the graph as JSON, no pickle
    notice/, version/, profile/           vocabulary.parquet and idf.npy of the side
    axes.npy                              (W, D) float32: what turns the programs' vectors into those that are published
    schema.json                           scales, ids and order of the fields of each side
    manifest.json                         the run, and the inputs of both towers

The programs return W numbers, the vectors of all members side by side, as the company's reads the notices'. Times the
axes and scaled to length one, they are the D numbers that are published.

Held against the trained towers before anything is written: a folder that is there gives the same vectors.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bidrec.errors import BidrecError, ConfigurationError
from bidrec.model.members import vectors_of
from bidrec.model.padded import PaddedHistory, PaddedHistoryTower, PaddedNoticeTower, padded
from bidrec.model.towers import StaticTower
from bidrec.runs.run import Run
from bidrec.storage.home import require_replaceable
from bidrec.storage.sealed import write_manifest
from bidrec.storage.whole import whole_folder
from bidrec.training.resident import Resident
from bidrec.training.saved import load_model
from bidrec.training_set.arrays import SIDES, TrainingSet

TOLERANCE = 1e-5
"""Largest difference of a vector's numbers from the trained tower's: sums are taken in another order."""
ROWS = 256
"""Rows of either side that are compared, the newest."""
INPUTS = {
    "notice": ["dense_BF", "ages_days_BT", "attributes_BI", "text_BJ", "text_weights_BJ"],
    "company": [
        *("notice_NW", "notice_BL", "known_BL", "age_days_BL", "count_B"),
        *("version (five as of a notice)", "profile (likewise)", "has_profile_B"),
    ],
}


def export_towers(run: Run, folder: Path) -> dict[str, Any]:
    """Write the towers of a finished run; returns the manifest.

    Raises ConfigurationError (64) for a model of kind `static`, and for a folder that holds something else,
    ContractError (65) where another bidrec made the run; CannotWrite (73).
    """
    require_replaceable(folder, "towers")
    run.require_this_code()
    ts = TrainingSet.open(run.training_set)
    model = load_model(ts.schema, run.model)
    if isinstance(model.company, StaticTower):
        raise ConfigurationError(f"the towers of run {run.id} are of kind 'static'", hint="only 'history' is exported")
    data = Resident.of(ts, torch.device("cpu"))
    with torch.no_grad():
        examples = {"notice": _notices(model.notice, data), "company": _companies(model, data)}
        programs, differences = {}, {}
        for name, (tower, inputs, wanted_BD) in examples.items():
            programs[name] = _program(tower, inputs)
            differences[name] = float((programs[name].module()(*inputs) - wanted_BD).abs().max())
            if differences[name] > TOLERANCE:
                raise BidrecError(f"the exported {name} tower differs from the trained one by {differences[name]:.1e}")
    with whole_folder(folder) as staging:
        for name, program in programs.items():
            torch.export.save(program, staging / f"{name}_tower.pt2")
        for side in SIDES:
            (staging / side).mkdir()
            for file in ("vocabulary.parquet", "idf.npy"):
                shutil.copyfile(run.training_set / side / file, staging / side / file)
        shutil.copyfile(run.training_set / "schema.json", staging / "schema.json")
        np.save(staging / "axes.npy", model.axes.numpy(), allow_pickle=False)
        facts = {"torch": torch.__version__, "largest_difference": differences}
        return write_manifest(staging, kind="towers", run=run.id, inputs=INPUTS, **facts)


def _notices(tower: Any, data: Resident) -> tuple[nn.Module, tuple[Any, ...], Tensor]:
    """(tower to export, inputs, the trained tower's vectors of them)."""
    rows_B = torch.arange(max(0, len(data.notice) - ROWS), len(data.notice))
    batch = data.notice.take(rows_B, data.published_at[rows_B])
    return PaddedNoticeTower(tower), padded(batch), tower(batch)


def _companies(model: Any, data: Resident) -> tuple[nn.Module, tuple[Any, ...], Tensor]:
    from bidrec.training.embed import gathered_companies, notice_vectors

    notice_ND = notice_vectors(model, data)
    as_of = int(data.published_at[-1])
    version_C = data.versions_as_of(as_of)
    known_B = version_C[version_C >= 0][-ROWS:]
    gathered = data.company_batch(known_B, as_of, model.history_length)
    history = PaddedHistory.of(gathered.history)
    inputs = (
        *(notice_ND, history.notice_BL, history.known_BL, history.age_days_BL, history.count_B),
        *(padded(gathered.version), padded(gathered.profile), gathered.has_profile_B),
    )
    trained = gathered_companies(model, vectors_of(notice_ND, model.members), gathered)
    return PaddedHistoryTower(model.company), inputs, trained


def _program(tower: nn.Module, inputs: tuple[Any, ...]) -> Any:
    """Any number of rows, ids, terms and bids may come."""
    tower.eval()
    program = torch.export.export(tower, inputs, dynamic_shapes=_any_size(inputs))
    program.example_inputs = None  # the only part that torch.export.save would pickle
    return program


def _any_size(given: Any) -> Any:
    """For torch.export: every dimension of more than one may be of any size, but the width of dense numbers. It fixes
    those of none or one whatever it is told, and warns of each that it was told otherwise of."""
    if isinstance(given, tuple):
        return tuple(_any_size(one) for one in given)
    dynamic = torch.export.Dim.AUTO  # type: ignore[attr-defined]
    return {at: dynamic for at, size in enumerate(given.shape) if size > 1}
