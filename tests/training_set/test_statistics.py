"""The figures of a field, held to plain Python over the same rows."""

import bisect
import math
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.training_set.drift import QUANTILES, REFERENCE, Table, measure, psi
from tests.training_set.tables import TIME, day, field, seconds

WINDOWS = {
    "training": (-(2**62), seconds(day(10))),
    "validation": (seconds(day(10)), seconds(day(20))),
    "test": (seconds(day(20)), seconds(day(30))),
}
FIELDS = (
    field("number", "Float64", "dense"),
    field("place", "String", "categorical"),
    field("tags", "Array(String)", "bag"),
    field("title", "String", "text"),
    field("founded_at", "UnixTimestamp", "age"),
    field("picture", "Array(Float32)", "vector"),
    field("value", "Float64", "ignore"),
)
TYPES = {
    "known_at": TIME,
    "number": pa.float64(),
    "place": pa.string(),
    "tags": pa.list_(pa.string()),
    "title": pa.string(),
    "founded_at": TIME,
    "picture": pa.list_(pa.float32()),
    "value": pa.float64(),
}
SIDES = {"version": ("activity", "known_at", math.ceil), "notice": ("notice", "published_at", math.floor)}
"""Relation and time of a side, and how the time is rounded to whole seconds."""
moments = st.integers(-5 * 86_400, 35 * 86_400).map(lambda second: day(0) + timedelta(seconds=second))
edges = st.builds(
    lambda at, second: day(at) + timedelta(seconds=second),
    st.sampled_from([10, 20, 30]),
    st.sampled_from([-1, -0.5, 0, 0.5]),
)
rows_of_a_table = st.lists(
    st.fixed_dictionaries(
        {
            "known_at": st.one_of(moments, edges),
            "number": st.one_of(st.none(), st.integers(-3, 3).map(float), st.just(math.inf)),
            "place": st.one_of(st.none(), st.sampled_from("abcdef")),
            "tags": st.one_of(st.none(), st.lists(st.sampled_from("xyz"), max_size=3)),
            "title": st.one_of(st.none(), st.text("가나 a", max_size=4)),
            "founded_at": st.one_of(st.none(), st.integers(0, 9).map(lambda days: day(-days))),
            "picture": st.one_of(st.none(), st.lists(st.sampled_from([0.0, 3.0, 4.0]), min_size=2, max_size=2)),
            "value": st.one_of(st.none(), st.just(1.0)),
        }
    ),
    max_size=30,
)


def measured(rows, reference=None, windows=WINDOWS, side="version"):
    columns = {name: pa.array([row[name] for row in rows], kind) for name, kind in TYPES.items()}
    relation, time, _ = SIDES[side]
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register(relation, pa.table(columns | {time: columns["known_at"]}))
        figures, bins = measure([Table(connection, side, FIELDS)], windows, reference)
        return figures[side], {side: bins[side]}


def known(row, side):
    """When the row is known, in whole seconds."""
    return SIDES[side][2](row["known_at"].timestamp())


def inside(rows, window, side="version"):
    begin, end = WINDOWS[window]
    return [row for row in rows if begin <= known(row, side) < end]


def plain(row, name, side):
    """The value that is counted, None where there is none."""
    value = row[name]
    if value is None or value == []:
        return None
    if name == "number":
        return value if math.isfinite(value) else None
    if name == "title":
        return float(len(value))
    if name == "founded_at":
        return (known(row, side) - seconds(value)) / 86_400
    return math.hypot(*value) if name == "picture" else value


def items(rows, name, side):
    values = [plain(row, name, side) for row in rows]
    if name != "tags":
        return values
    return [item for value in values for item in (sorted(set(value)) if value else [None])]


def index(now, then):
    shares = [[(count + 0.5) / (sum(counts) + 0.5 * len(counts)) for count in counts] for counts in (now, then)]
    return sum((share - before) * math.log(share / before) for share, before in zip(*shares, strict=True))


@settings(deadline=None, max_examples=25)
@given(rows_of_a_table, st.sampled_from([*SIDES]))
def test_every_figure_is_what_a_loop_over_the_rows_finds(rows, side):
    figures, bins = measured(rows, side=side)
    for name in TYPES.keys() - {"known_at"}:
        then = items(inside(rows, REFERENCE, side), name, side)
        for window in WINDOWS:
            of_window, found = inside(rows, window, side), figures[name][window]
            given_values = [value for value in items(of_window, name, side) if value is not None]
            missing = sum(plain(row, name, side) is None for row in of_window)
            assert found["rows"] == len(of_window)
            assert found["null_share"] == (pytest.approx(missing / len(of_window), abs=1e-6) if of_window else None)
            if name == "value":
                assert found.keys() == {"rows", "null_share"}
                continue
            assert found["cardinality"] == len(set(given_values))
            cuts = bins[side][name]["cuts"]
            if name in ("place", "tags"):
                counted = [Counter(values) for values in (items(of_window, name, side), then)]
                now, before = ([c[cut] for cut in cuts] + [c[None]] for c in counted)
                now.append(sum(n for v, n in counted[0].items() if v is not None and v not in cuts))
                before.append(sum(n for v, n in counted[1].items() if v is not None and v not in cuts))
            else:
                order = sorted(given_values)
                exact = (
                    [order[max(1, math.ceil(q * len(order))) - 1] for q in (0.0, 0.25, 0.5, 0.75, 1.0)]
                    if order
                    else None
                )
                asked = found["quantiles"] and [
                    found["quantiles"][QUANTILES.index(q)] for q in (0.0, 0.25, 0.5, 0.75, 1.0)
                ]
                assert asked == exact
                now, before = (
                    [Counter(None if v is None else bisect.bisect_left(cuts, v) for v in values)[at]
                     for at in [*range(len(cuts) + 1), None]]
                    for values in (items(of_window, name, side), then)
                )  # fmt: skip
            used = [at for at in range(len(now)) if now[at] or before[at]]
            wanted = index([now[at] for at in used], [before[at] for at in used]) if of_window and then else None
            assert found["psi"] == (wanted if wanted is None else pytest.approx(wanted, abs=1e-5))


@settings(deadline=None, max_examples=8)
@given(rows_of_a_table, rows_of_a_table)
def test_nothing_known_after_the_training_window_changes_what_is_held_against(rows, others):
    training = inside(rows, REFERENCE)
    later = [row for row in others if row not in inside(others, REFERENCE)]
    figures, bins = measured(rows)
    other_figures, other_bins = measured(training + later)
    assert bins == other_bins
    assert {name: of[REFERENCE] for name, of in figures.items()} == {
        n: of[REFERENCE] for n, of in other_figures.items()
    }


@settings(deadline=None, max_examples=8)
@given(rows_of_a_table)
def test_a_later_window_alone_has_the_figures_it_has_beside_the_training_window(rows):
    figures, bins = measured(rows)
    alone, _ = measured(rows, bins, {"test": WINDOWS["test"]})
    assert {name: of["test"] for name, of in figures.items()} == {name: of["test"] for name, of in alone.items()}


def test_the_twenty_most_frequent_values_have_a_bin_of_their_own():
    rows = [{**dict.fromkeys(TYPES), "known_at": day(1), "place": f"p{i:02}"} for i in range(30) for _ in range(i + 1)]
    _, bins = measured(rows)
    assert bins["version"]["place"]["cuts"] == [f"p{i:02}" for i in range(29, 9, -1)]
    assert bins["version"]["place"]["counts"][-2:] == [sum(range(1, 11)), 0]


def test_the_index_of_equal_shares_is_zero_and_grows_as_they_part():
    assert psi([200, 400, 0], [1000, 2000, 0]) == pytest.approx(0, abs=1e-5)
    assert 0.1 < psi([300, 300, 0], [1000, 2000, 0]) < psi([500, 100, 0], [1000, 2000, 0])


MANY_FIELDS = """
import resource
import duckdb
from bidrec.training_set.drift import REFERENCE, Table, measure
from tests.training_set.tables import field

names = [f"f{number}" for number in range(1000)]
values = ", ".join(f"random() AS {name}" for name in names)
with duckdb.connect() as connection:
    connection.execute("SET enable_progress_bar = false")  # it is written to stdout
    rows = f"SELECT make_timestamptz(range) AS known_at, {values} FROM range(3000)"
    connection.execute(f"CREATE TABLE activity AS {rows}")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fields = tuple(field(name, "Float64", "ignore") for name in names)
    figures, _ = measure([Table(connection, "version", fields)], {REFERENCE: (0, 10)})
    assert figures["version"]["f999"] == {REFERENCE: {"rows": 3000, "null_share": 0}}
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_the_missing_values_of_a_thousand_fields_are_counted_without_a_block_of_all_fields_for_each():
    root = Path(__file__).parents[2]
    process = subprocess.run([sys.executable, "-c", MANY_FIELDS], cwd=root, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert int(process.stdout) < 200  # megabytes; a block for each takes 900
