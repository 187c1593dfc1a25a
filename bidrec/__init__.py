"""bidrec: which companies will bid on a new notice, and which open notices a company should bid on.

from bidrec import Recommender
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bidrec.recommender import Recommender

__version__ = "0.1.0"
__all__ = ["Recommender", "__version__"]


def __getattr__(name: str) -> Any:
    """Recommender, imported when it is asked for: what only wants a part of bidrec need not wait for DuckDB."""
    if name == "Recommender":
        from bidrec.recommender import Recommender

        return Recommender
    raise AttributeError(f"module 'bidrec' has no attribute {name!r}")
