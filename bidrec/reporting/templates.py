"""How numbers and words are written in the page and in the model card, and where their templates lie."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

_HANGUL = "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"
KOREAN = re.compile(f"([{_HANGUL}](?:[^A-Za-z<>&;{_HANGUL}]*[{_HANGUL}])*)")
"""Korean with the blanks, digits and signs within it, so that a voice reads a title in one go; no tag, no entity."""


def environment(*, html: bool) -> Environment:
    """Templates of this package. In HTML everything that comes from data is escaped; what is not there is an error."""
    made = Environment(
        loader=PackageLoader("bidrec.reporting", ""),
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {one.__name__: one for one in (words, buyer, share, points, span, count, ranked, decimal)}
    return made


def words(value: Any) -> Markup:
    """Text from the data: escaped, Korean marked as such so that it is drawn and read out right."""
    return Markup(KOREAN.sub(r'<span lang="ko">\1</span>', str(escape("" if value is None else value))))


def money(notice: Mapping[str, Any]) -> str:
    """A notice's value and its currency; empty where it states none."""
    return "" if notice["value"] is None else f"{notice['value']:,.0f} {notice['currency'] or ''}".strip()


def buyer(notice: Mapping[str, Any]) -> str:
    """Who buys, and whom for, where that is another office; empty where neither is known."""
    return ", for ".join(office for office in (notice["buyer"], notice["unit"]) if office)


def share(value: float | None) -> str:
    """A share of one in per cent."""
    return "" if value is None else f"{100 * value:.1f}\u00a0%"


def points(value: float | None) -> str:
    """A difference of shares in percentage points."""
    return "" if value is None else f"{round(100 * value, 1) + 0.0:+.1f}"  # + 0.0: no -0.0


def span(ci: Sequence[float] | None, how: str = "decimal") -> str:
    """A 95 % interval, its ends written as one of these filters would."""
    if not ci:
        return ""
    low, high = ({"decimal": decimal, "share": share, "points": points}[how](edge) for edge in ci)
    return f"{low} to {high}"


def count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def ranked(window: Mapping[str, Any]) -> str:
    """How many of a test window's notices were ranked: "1,803", or "20,000 of 170,123" where they were thinned."""
    of_all = f" of {window['notices_with_bids']:,}" if "notices_with_bids" in window else ""
    return f"{window['notices']:,}{of_all}"


def decimal(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
