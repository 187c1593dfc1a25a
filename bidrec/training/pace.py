"""How fast a training was over its own time: stretches of some seconds, and the steps that were taken in each.

Written into the manifests of model and run as `speed`; the page draws it beside the floor (floor.py)
"""

import time
from statistics import median

STRETCH_SECONDS = 1.0
"""A stretch is at least so long; an epoch's last one may be shorter."""
MOST = 40
"""Stretches that are told apart in one training: beyond it two neighbours become one, and later ones twice as long."""
Stretch = dict[str, float]


class Pace:
    """Notes steps as they are taken. What lies between `close` and `start` (validation) is nobody's time.

    `stretches`: of the whole run, changed in place: `refit` (0 or 1: which of the two trainings), `seconds`, `steps`.
    """

    def __init__(self, stretches: list[Stretch], *, refit: bool) -> None:
        self.stretches, self.refit = stretches, int(refit)
        self.length = max([STRETCH_SECONDS, *_median(self._own())])
        self.start()

    def start(self) -> None:
        self.begun, self.steps = time.monotonic(), 0

    def step(self) -> None:
        """A step was taken."""
        self.steps += 1
        if time.monotonic() - self.begun >= self.length:
            self.close()

    def close(self) -> None:
        """Note what was taken since the last stretch, and begin another one."""
        seconds, own = time.monotonic() - self.begun, self._own()
        if self.steps and own and seconds < self.length / 2:
            own[-1]["seconds"] += seconds
            own[-1]["steps"] += self.steps
        elif self.steps:
            self.stretches.append({"refit": self.refit, "seconds": seconds, "steps": self.steps})
        if len(own) >= MOST:
            self._halve()
        self.start()

    def _own(self) -> list[Stretch]:
        return [one for one in self.stretches if one["refit"] == self.refit]

    def _halve(self) -> None:
        own, others = self._own(), [one for one in self.stretches if one["refit"] != self.refit]
        pairs = [own[at : at + 2] for at in range(0, len(own), 2)]
        sums = [{name: sum(one[name] for one in pair) for name in ("seconds", "steps")} for pair in pairs]
        self.stretches[:] = others + [{"refit": self.refit, **one} for one in sums]
        self.length *= 2


def _median(stretches: list[Stretch]) -> list[float]:
    return [median(one["seconds"] for one in stretches)] if stretches else []
