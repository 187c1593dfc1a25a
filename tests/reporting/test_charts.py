import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidrec.reporting.charts import WIDTH, Axis, Line, columns, interval, lines, spans

numbers = st.floats(-1e9, 1e9).filter(lambda number: number == 0 or abs(number) > 1e-6)


@given(st.lists(numbers, max_size=20), st.booleans())
def test_an_axis_holds_its_values_in_order_and_its_ticks_are_few_and_even(values, whole):
    axis = Axis.over(values, 10, 400)
    places = [axis.at(value) for value in sorted(values)]
    assert places == sorted(places)
    assert all(10 <= place <= 400 for place in places)
    ticks = axis.ticks(whole=whole)
    assert len(ticks) <= 7
    assert whole or len(ticks) >= 2
    steps = [after - before for before, after in pairwise(ticks)]
    assert all(math.isclose(step, steps[0], rel_tol=1e-6) for step in steps)
    assert all(tick == round(tick) for tick in ticks) or not whole


def test_a_share_of_one_is_marked_up_to_one():
    assert Axis(0, 1, 0, 100).ticks() == [0, 0.2, 0.4, 0.6, 0.8, 1]


@pytest.mark.parametrize(
    "image",
    [
        lines("<b>&\"'", [Line("one", [1, 2, 3], [0.5, None, 0.7]), Line("none", [], [])], "<x>", "&y"),
        lines("one point", [Line("one", [1], [3])], "x", "y"),
        lines("nothing", [], "x", "y"),
        lines("calibration", [Line("one", [0.1, 0.4], [0.2, 0.3])], "x", "y", same_scale=True),
        columns("months", ["<i>", "2025-02"], [3, 0], "notices"),
        columns("no months", [], [], "notices"),
        spans("split", [(0, 10), (10, 11)], [(0, "a"), (10, "<b>"), (11, "c")]),
        interval(0.5, [0.4, 0.6], 0, 1),
        interval(0.5, None, 0.5, 0.5),
    ],
)
def test_every_chart_is_well_formed_and_stays_on_its_canvas(image):
    tree = ElementTree.fromstring(image)
    width, height = map(float, tree.attrib["viewBox"].split()[2:])
    for dot in tree.iter("circle"):
        assert 0 <= float(dot.attrib["cx"]) <= width
        assert 0 <= float(dot.attrib["cy"]) <= height
    assert not re.search("nan|inf", str(image))


def test_the_numbers_of_an_axis_have_as_many_decimals_each_and_a_chart_from_zero_shows_the_zero():
    tree = ElementTree.fromstring(lines("loss", [Line("one", [1, 2], [4.1, 5.5])], "", ""))
    assert {one.text for one in tree.iter("text")} >= {"4.5", "5.0", "5.5"}
    tree = ElementTree.fromstring(lines("speed", [Line("one", [8, 9], [5.7, 6.4])], "", "", zero=True))
    assert [one.text for one in tree.iter("text")].count("0") == 2


def test_a_missing_value_leaves_a_gap_in_the_dots_and_not_a_zero():
    tree = ElementTree.fromstring(lines("gap", [Line("one", [1, 2, 3], [5, None, 6])], "x", "y"))
    assert len(list(tree.iter("circle"))) == 2


def test_a_taller_column_is_a_larger_value_and_all_stand_on_zero():
    tree = ElementTree.fromstring(columns("months", ["a", "b"], [10, 5], "notices"))
    tall, low = tree.iter("rect")
    assert float(tall.attrib["height"]) == pytest.approx(2 * float(low.attrib["height"]), abs=0.2)
    feet = [float(one.attrib["y"]) + float(one.attrib["height"]) for one in (tall, low)]
    assert feet[0] == pytest.approx(feet[1], abs=0.2)


def test_stretches_of_time_have_the_widths_of_their_lengths():
    tree = ElementTree.fromstring(spans("split", [(0, 300), (300, 400)], []))
    long, short = (float(one.attrib["width"]) for one in tree.iter("rect"))
    assert long == pytest.approx(3 * short, abs=0.3)
    assert long + short == pytest.approx(WIDTH - 16, abs=0.3)


def test_an_image_has_its_title_for_those_who_do_not_see_it_and_a_cell_has_none():
    assert ElementTree.fromstring(columns("a chart", [], [], "n")).attrib["aria-label"] == "a chart"
    assert ElementTree.fromstring(interval(1, None, 0, 2)).attrib["aria-hidden"] == "true"
