"""Feast's checks of arguments: kept for a repository of one's own, left out of the import for the one that is ours."""

import subprocess
import sys

SCRIPT = """
import sys
import typeguard
from bidrec.config import Config
from bidrec.features.feature_store import online_store
from bidrec.features.feast_import import import_feast

checked = typeguard.typechecked
import_feast(Config(feature_repo="mine"))
print("feast" in sys.modules)
online_store(Config(home=sys.argv[1]))
from feast import Entity
print(Entity(name="company", description=3).description, typeguard.typechecked is checked)
"""


def test_feast_checks_what_an_own_repository_gives_it_and_not_what_ours_does_and_typeguard_stays_as_it_was(tmp_path):
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["False", "3 True"], done.stderr[-2000:]
