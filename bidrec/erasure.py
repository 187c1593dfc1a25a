"""Erasing companies and notices from a home: what can go at once goes, and what cannot is named.

lake and quarantine -> features, made anew -> the published versions. Left to the operator: runs, which learned from
them; the online store, which Feast can only empty; files that bidrec did not write.
"""

from pathlib import Path
from typing import Any

from bidrec.config import Config
from bidrec.errors import InputMissing
from bidrec.features.build import build_features
from bidrec.features.online import views_with
from bidrec.lake.erase import erase_from_lake
from bidrec.lake.erased import Keys, held_in, is_erased
from bidrec.publishing.erase import erase_from_published
from bidrec.sql.workspace import looking
from bidrec.storage.sealed import read_manifest
from bidrec.storage.whole import PARTIAL, sweep

_NAMES = {"company_id": "company", "notice_id": "notice"}


def erase(config: Config, keys: Keys) -> dict[str, Any]:
    """Erase what is of these companies and notices; no later ingest brings it back.

    Returns `rows` that the lake lost (table -> number), the published `versions` that had any of them and are deleted,
    and where something is `left`: `runs`, views `online`, and `files`. Whenever it was killed, the next call completes
    it, and one that finds nothing changes nothing. Raises InputMissing (66), before anything is changed, without a lake
    or for a key that the home has nowhere, ContractError (65) where what it changes is damaged, CannotWrite (73),
    Interrupted (75).
    """
    _refuse_unknown(config.home_path, keys)
    sweep(config.home_path)
    rows = erase_from_lake(config, keys)
    build_features(config)
    versions = erase_from_published(config, keys)
    return {"rows": rows, "versions": versions, "left": _left(config, keys)}


def _refuse_unknown(home: Path, keys: Keys) -> None:
    """A mistyped key, or one that is not written as in the lake, would leave the rows where they are."""
    lake = read_manifest(home / "lake")
    if lake is None:
        raise InputMissing(f"no lake in {home}", hint="run: bidrec ingest")
    unknown = {
        column: {key for key in asked if not is_erased(lake.get("erased") or {}, column, key)}
        for column, asked in keys.items()
    }
    with looking() as connection:
        for file in _tables(home):
            if not any(unknown.values()):
                break
            for column, found in held_in(connection, file, unknown).items():
                unknown[column] -= found
    missing = [f"{_NAMES[column]} {key!r}" for column, some in unknown.items() for key in sorted(some)]
    if missing:
        raise InputMissing(
            f"nowhere in {home}: {', '.join(missing[:5])}" + (f" and {len(missing) - 5} more" * (len(missing) > 5)),
            hint="nothing was erased; give each key as bidrec recommend --json has it",
        )


def _left(config: Config, keys: Keys) -> dict[str, list[str]]:
    """Where the keys are still."""
    home = config.home_path
    with looking() as connection:
        files = [file.relative_to(home) for file in _tables(home) if held_in(connection, file, keys)]
    of_runs = [file.parts[1] for file in files if file.parts[0] == "runs"]
    return {
        "runs": list(dict.fromkeys(of_runs)),
        "online": views_with(config, keys),
        "files": [str(file) for file in files if file.parts[0] != "runs"],
    }


def _tables(home: Path) -> list[Path]:
    """The Parquet files of the home that are finished: what else has ids in it lies beside one that has them. Not the
    features, which are made of the lake alone."""
    files = ((file.relative_to(home), file) for file in sorted(home.rglob("*.parquet")) if file.is_file())
    return [file for name, file in files if name.parts[0] != "features" and PARTIAL not in str(name)]
