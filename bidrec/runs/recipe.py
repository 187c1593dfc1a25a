"""What a run is made by: fingerprints of this bidrec's own code, so that an upgrade is seen by what was made before it.

Reads   the texts of bidrec's modules; comments, docstrings and line breaks do not count

The same data and settings give other numbers after other code. So a run says what code made it, and is not gone on
with, taken as it is, published or compared as if it had been made by this one.
"""

import ast
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from bidrec.storage.sealed import fingerprint

FEATURES = (
    *("lake/parts.py", "features/*.sql"),
    *(f"features/{name}.py" for name in ("market", "running", "lists", "block", "history", "state", "company")),
)
"""What a feature's value means."""
SERVING = (
    *FEATURES,
    *("training_set/*.py", "model/**/*.py", "training/embed.py", "training/resident.py", "training/stream.py"),
    *(f"ranking/{name}.py" for name in ("baselines", "calibration", "counts", "eligibility", "ground_truth")),
    *(f"ranking/{name}.py" for name in ("neighbours", "pair_features", "ranker", "reranker", "topk")),
)
"""What today's data are read by with a run's fit, weights and blend: with other code they are not those it learned."""
MEASURING = ("ranking/*.py",)
"""What the figures of a run mean."""
TRAINING = ("training/*.py",)
"""What a run's weights depend on besides."""
_ROOT = Path(__file__).parents[1]


@cache
def now() -> dict[str, str]:
    """The fingerprints of this code, as they stand in a run's config.json: `serving`, `measuring`, and `learning`, all
    that a run's content depends on besides its data and settings."""
    parts = {"serving": of(SERVING), "measuring": of(MEASURING)}
    return parts | {"learning": fingerprint(parts | {"training": of(TRAINING)})}


def of(patterns: Sequence[str]) -> str:
    """The fingerprint of the files below bidrec/ that any of the patterns names."""
    files = sorted({file for pattern in patterns for file in _ROOT.glob(pattern)})
    return fingerprint({file.relative_to(_ROOT).as_posix(): _meaning(file) for file in files})


def _meaning(file: Path) -> str:
    text = file.read_text(encoding="utf-8")
    return text if file.suffix == ".sql" else _meaning_of_python(text)


@cache  # a process asks again and again of texts that stay what they are
def _meaning_of_python(text: str) -> str:
    return ast.dump(_Undocumented().visit(ast.parse(text)))


class _Undocumented(ast.NodeTransformer):
    """Drops strings that stand alone: docstrings, and what is said below a constant."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        alone = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if alone else node
