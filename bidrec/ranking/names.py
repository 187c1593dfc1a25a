"""The names by which metrics.json speaks of rankers, and the metric they are judged by: for all who write or read it.

The rivals' own names are those that bidrec/ranking/baselines gives them.
"""

from collections.abc import Mapping
from typing import Any

MODEL = "final"
"""The ranking that is published, and that has to beat the baselines."""
TOWERS = "towers"
"""Its first stage alone."""
ORACLE = "oracle"
"""The true probabilities of a simulated market."""
CEILING = "ceiling"
"""The best there can be when bidders that are no candidates cannot be listed."""
BEST_BASELINE = "best_baseline"
"""Whichever baseline that is: the key that names it, and the name under which its figures stand beside a model's."""
CHOSEN_BY = "recall@100"
"""The metric that names the best baseline, by which the gate judges, and whose course over the weeks is told."""
MEASURED_BY = "measured_by"
"""The key of the code that measured (bidrec.runs.recipe): other code may mean something else by the same name."""


def comparable(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the figures of two metrics.json compare: of the same test window of the same data, by the same code."""
    same = all(one[key] == other[key] for key in ("window", "inputs"))
    return same and MEASURED_BY in one and one[MEASURED_BY] == other.get(MEASURED_BY)
