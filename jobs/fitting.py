"""A table that leaves out its least columns where a terminal is narrow: Rich would cut every number of it short."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table

UNBOUNDED = 10_000
"""Characters: no table is as wide."""


class Fitting:
    """`make` draws the table with the columns it is given; `least` are those that go, the first one first."""

    def __init__(self, make: Callable[[Sequence[str]], "Table"], columns: Sequence[str], least: Sequence[str]) -> None:
        self.make, self.columns, self.least = make, columns, [name for name in least if name in columns]

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        columns, left_out = list(self.columns), list[str]()
        for name in self.least:
            natural = self.make(columns).__rich_measure__(console, options.update(width=UNBOUNDED))
            if natural.maximum <= options.max_width:
                break
            columns.remove(name)
            left_out.append(name)
        yield self.make(columns)
        if left_out:
            yield f"Too narrow for {', '.join(left_out)}; the page of the run and --json have all."
