"""The gate: a model that does not beat the best baseline, or is worse than the published one, is not published."""

from typing import Any

from bidrec.errors import GateRefused
from bidrec.ranking.names import CHOSEN_BY, MODEL, comparable


def check(metrics: dict[str, Any], published: dict[str, Any] | None, margin: float) -> None:
    """Compare a run's metrics.json with its baselines and with the published run's metrics.

    `margin` is how far below either the model may be, below zero how far above it must be. The published run only
    counts where it was measured by the same code on the same test window of the same data. Raises GateRefused (78);
    what is published then stays.
    """
    own = metrics["metrics"]["frozen"]
    reached = own[MODEL][CHOSEN_BY]
    baselines = {name: own[name][CHOSEN_BY] for name in metrics["baselines"]}
    best = max(baselines, key=baselines.__getitem__)
    more = f" and {-margin:g} more (publish.margin)" if margin < 0 else ""
    if reached < baselines[best] - margin:
        raise GateRefused(
            f"the model's {CHOSEN_BY} {reached:.3f} is below {best}'s {baselines[best]:.3f}{more}",
            hint=f"{'the published version stays' if published else 'nothing is published yet'}; look at the run's "
            "metrics.json, or set publish.margin",
        )
    if published and comparable(published, metrics):
        before = published["metrics"]["frozen"][MODEL][CHOSEN_BY]
        if reached < before - margin:
            raise GateRefused(
                f"the model's {CHOSEN_BY} {reached:.3f} is below the published run's {before:.3f}{more}",
                hint="the published version stays; set publish.margin to allow a difference",
            )
