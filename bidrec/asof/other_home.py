"""A home that was copied or moved, in whose registry the sources' files still lie in the home that it was before.

Serves  offline_store.py: of two homes on one machine, Feast would bring the other one's rows online without a word
"""

import glob
from pathlib import Path

from feast.repo_config import RepoConfig

from bidrec.errors import InputMissing
from bidrec.storage.home import parted


def refuse_another_home(config: RepoConfig, of: str, path: str) -> None:
    """Raise InputMissing (66) where `path`, a source's, lies in another home than the registry's file does.

    That is where the registry's home has such files too: a folder of one's own may be named `features` as well.
    """
    if config.registry.registry_type != "file":
        return
    home = Path(config.registry.path).parent.parent
    other, box, within = parted(path)
    if not other or Path(path).is_relative_to(home) or not glob.glob(f"{glob.escape(str(home))}{box}{within}"):
        return
    if Path(other).resolve() != home.resolve():
        raise InputMissing(
            f"{of}: its files lie in {other}, says the registry of {home}",
            hint="this home was copied or moved: bidrec feast apply makes its registry speak of itself",
        )
