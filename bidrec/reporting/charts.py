"""Charts as SVG text: lines, columns, a time axis, and a figure with its interval small enough for a table.

Colours, fonts and the dark mode are the page's style sheet (classes c0 to c7); a chart is drawn 400 units wide, so that
its letters can be read on a phone. What a chart shows stands beside it as a table too, so all of it is one image to a
screen reader.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 400, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 24, 38
INTERVAL = 132
"""Width of the figure with its interval, without the margins of 4."""


@dataclass(frozen=True)
class Line:
    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    """None: no point there."""


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high` along `start` to `end`, in units of the drawing."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float, *, zero: bool = False) -> "Axis":
        """An axis that holds all the values, with a little air."""
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        low = min(low, 0.0) if zero else low
        air = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
        return cls(low if zero else low - air, high + air, start, end)

    def at(self, value: float) -> float:
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)

    def ticks(self, *, whole: bool = False) -> list[float]:
        """Up to seven round numbers; `whole`: no fractions."""
        wanted = max((self.high - self.low) / 5, 1.0 if whole else 0.0)
        power = 10.0 ** math.floor(math.log10(wanted))
        step = next(part * power for part in (1, 2, 5, 10) if part * power >= wanted * 0.999)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(number * step, 12) for number in range(first, last + 1)]


def lines(
    title: str, series: Sequence[Line], x_name: str, y_name: str, *, same_scale: bool = False, zero: bool = False
) -> Markup:
    """Lines with dots; `zero`: both axes from 0; `same_scale`: from 0 alike, and the diagonal drawn."""
    points = [(x, y) for line in series for x, y in zip(line.x, line.y, strict=True) if y is not None]
    every = [value for point in points for value in point]
    zero = zero or same_scale
    x_axis = Axis.over(every if same_scale else [x for x, _ in points], LEFT, WIDTH - RIGHT, zero=zero)
    y_axis = Axis.over(every if same_scale else [y for _, y in points], HEIGHT - BOTTOM, TOP, zero=zero)
    parts = [*_grid(x_axis, y_axis, x_name, y_name)]
    if same_scale:
        corner = min(x_axis.high, y_axis.high)
        parts.append(_path([(x_axis.at(0), y_axis.at(0)), (x_axis.at(corner), y_axis.at(corner))], "diagonal"))
    for number, line in enumerate(series):
        drawn = [(x_axis.at(x), y_axis.at(y)) for x, y in zip(line.x, line.y, strict=True) if y is not None]
        parts.append(_path(drawn, f"line c{number}"))
        parts += [f'<circle class="c{number}" cx="{x}" cy="{y}" r="3"/>' for x, y in drawn]
    return _image(title, parts)


def columns(title: str, labels: Sequence[str], values: Sequence[float], y_name: str, *, number: int = 0) -> Markup:
    """One column a label, from 0; as many labels are written as there is room for."""
    y_axis = Axis.over(values, HEIGHT - BOTTOM, TOP, zero=True)
    room = (WIDTH - LEFT - RIGHT) / max(1, len(values))
    parts = [*_grid(None, y_axis, "", y_name)]
    for at, (label, value) in enumerate(zip(labels, values, strict=True)):
        x, top = LEFT + at * room, y_axis.at(value)
        height = y_axis.start - top
        place = f'x="{x + room * 0.1:.1f}" y="{top}" width="{room * 0.8:.1f}" height="{height:.1f}"'
        parts.append(f'<rect class="c{number}" {place}/>')
        if at % -(-len(labels) // 6) == 0:
            parts.append(_text(x, HEIGHT - BOTTOM + 16, label))
    return _image(title, parts)


def spans(title: str, of: Sequence[tuple[float, float]], edges: Sequence[tuple[float, str]]) -> Markup:
    """Stretches (from, until) one after the other on one axis, and the words at its edges, each in its own row: the
    last stretches are often short beside the first. Their names are the legend's."""
    axis = Axis(of[0][0], of[-1][1], 8, WIDTH - 8)
    parts = []
    for number, (start, end) in enumerate(of):
        x, width = axis.at(start), axis.at(end) - axis.at(start)
        parts.append(f'<rect class="c{number}" x="{x}" y="4" width="{max(width, 2):.1f}" height="30"/>')
    for number, (moment, word) in enumerate(edges):
        x = axis.at(moment)
        anchor = "start" if x < WIDTH / 2 else "end"
        y = 52 + 17 * number
        parts.append(f'<path class="tick" d="M{x} 34V{y - 10}"/>')
        parts.append(_text(x, y, word, anchor))
    return _image(title, parts, height=42 + 17 * len(edges))


def interval(value: float, ci: Sequence[float] | None, low: float, high: float) -> Markup:
    """A dot, and its interval as a line, on an axis from `low` to `high`; a cell of a table, its figures beside it."""
    axis = Axis(low, high if high > low else low + 1, 4, INTERVAL + 4)
    parts = []
    if low < 0 < high:
        parts.append(f'<path class="tick" d="M{axis.at(0)} 0V14"/>')
    if ci:
        parts.append(_path([(axis.at(ci[0]), 7), (axis.at(ci[1]), 7)], "line c0"))
    parts.append(f'<circle class="c0" cx="{axis.at(value)}" cy="7" r="3.5"/>')
    svg = f'<svg class="interval" viewBox="0 0 {INTERVAL + 8} 14" aria-hidden="true" focusable="false">'
    return Markup(svg + "".join(parts) + "</svg>")


def swatch(number: int, line: bool) -> Markup:
    """What a legend shows before a name: a line as the chart draws it, dashes and all, or a dot of the colour."""
    width = 33 if line else 12
    drawn = (
        f'<path class="line c{number}" d="M0 6H33"/>' if line else f'<circle class="c{number}" cx="6" cy="6" r="6"/>'
    )
    size = f'width="{width}" height="12" viewBox="0 0 {width} 12"'
    return Markup(f'<svg class="swatch" {size} aria-hidden="true" focusable="false">{drawn}</svg>')


def _image(title: str, parts: Sequence[str], height: int = HEIGHT) -> Markup:
    opening = f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
    return Markup(opening + "".join(parts) + "</svg>")


def _grid(x_axis: Axis | None, y_axis: Axis, x_name: str, y_name: str) -> list[str]:
    parts = [_text(4, 11, y_name)]
    for tick, words in _marked(y_axis.ticks()):
        y = y_axis.at(tick)
        parts.append(f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>')
        parts.append(_text(LEFT - 5, y + 4, words, "end"))
    if x_axis:
        marked = _marked(x_axis.ticks(whole=x_axis.high > 1))
        parts += [_text(x_axis.at(tick), HEIGHT - BOTTOM + 16, words, "middle") for tick, words in marked]
    return [*parts, _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_name, "middle")] if x_name else parts


def _marked(ticks: Sequence[float]) -> list[tuple[float, str]]:
    """Each tick with its number, of one axis all with as many decimals; 0 needs none."""
    words = [short(tick) for tick in ticks]
    if any(word[-1].isalpha() or "e" in word for word in words):
        return list(zip(ticks, words, strict=True))
    decimals = max((len(word.partition(".")[2]) for word in words), default=0)
    return [(tick, f"{tick:.{decimals}f}" if tick else "0") for tick in ticks]


def _path(of: Sequence[tuple[float, float]], kind: str) -> str:
    return f'<path class="{kind}" d="M{" L".join(f"{x} {y}" for x, y in of)}"/>' if of else ""


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def short(number: float) -> str:
    """A tick's number in few letters."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"
