"""Feast imported in a third of its time, for the Feast repository that bidrec comes with.

Feast has the arguments of its classes checked by typeguard, which parses a whole module anew for each method: 3.6 of
the 5.3 s that the import takes on one core. The checks are for who writes a repository; ours is held to them by the
tests.
"""

import sys
from typing import Any

from bidrec.config import Config


def import_feast(config: Config) -> None:
    """Import Feast, its checks of arguments included where the configuration names a repository of one's own.

    Does nothing where Feast is imported already.
    """
    if config.feature_repo or "feast" in sys.modules:
        return
    import typeguard

    checked = typeguard.typechecked
    typeguard.typechecked = _unchanged  # type: ignore[assignment]
    try:
        import feast  # noqa: F401
    finally:
        typeguard.typechecked = checked


def _unchanged(defined: Any) -> Any:
    return defined
