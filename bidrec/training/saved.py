"""A trained model as it is published: weights as safetensors, and in the manifest what to rebuild it by.

Writes  runs/ID/model/ at a training's end
Reads   the same, for evaluation and write-back
"""

from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bidrec.config import Model
from bidrec.errors import ContractError
from bidrec.model.two_tower import TwoTower, build
from bidrec.storage.intact import is_whole
from bidrec.storage.sealed import read_manifest, write_manifest
from bidrec.storage.whole import whole_folder

WEIGHTS = "weights.safetensors"


def save_model(folder: Path, weights: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write the model as it is published: weights and, in the manifest, `facts` to rebuild it by."""
    with whole_folder(folder) as staging:
        save_file({name: value.detach().cpu().contiguous() for name, value in weights.items()}, staging / WEIGHTS)
        write_manifest(staging, kind="model", **facts)


def load_model(schema: dict[str, Any], folder: Path) -> TwoTower:
    """The trained model of a run (`folder` is runs/ID/model), on the CPU, without dropout.

    `schema` is its training set's. Raises ContractError (65) where the weights are damaged or do not fit it.
    """
    settings = _settings(folder)
    tuples = {name: tuple(value) for name, value in settings.items() if isinstance(value, list)}
    model = build(Model(**settings | tuples), schema)
    _load_weights(folder, model)
    return model.eval()


def _settings(folder: Path) -> dict[str, Any]:
    """The [model] configuration a saved model was built by. Raises ContractError (65) where the folder is damaged."""
    manifest = read_manifest(folder)
    if manifest is None or not is_whole(folder):
        raise ContractError(
            f"{folder} is damaged or unfinished", hint="restore the folder, or train again: bidrec train --force"
        )
    return manifest["model"]


def _load_weights(folder: Path, model: nn.Module) -> None:
    """Load a saved model's weights into `model`. Raises ContractError (65) where they have another shape."""
    try:
        model.load_state_dict(load_file(folder / WEIGHTS))
    except RuntimeError as error:
        raise ContractError(f"{folder} does not fit the model: {str(error).splitlines()[0]}") from error
