"""A home that was copied or moved, in whose registry the sources' files still lie in the home that it was before.

Serves  offline_store.py: of two homes on one machine, Feast would bring the other one's rows online without a word
"""

from pathlib import Path

from feast.repo_config import RepoConfig

from bidrec.errors import InputMissing

_BOXES = ("features", "published/current")
"""Of a home, those that views read."""


def refuse_another_home(config: RepoConfig, of: str, path: str) -> None:
    """Raise InputMissing (66) where `path`, a source's, lies in another home than the registry's file does."""
    if config.registry.registry_type != "file":
        return
    home = Path(config.registry.path).parent.parent
    other, box = max((path.rpartition(f"/{box}/")[0], box) for box in _BOXES)
    if not other or Path(path).is_relative_to(home) or not (home / box).is_dir():
        return
    if Path(other).resolve() != home.resolve():
        raise InputMissing(
            f"{of}: its files lie in {other}, says the registry of {home}",
            hint="this home was copied or moved: bidrec feast apply makes its registry speak of itself",
        )
