from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidrec.ranking.counts import COUNTED, Fields, NoticeFields, attribute_rows, cross, text_rows
from tests.ranking.sets import training_set

SET = training_set(
    [0, 1, 2],
    [],
    fields={"buyer_id": [0, 0, 0], "unit": [1, 2, 1], "place": [0, 3, 1]},
    titles=[[0, 4], [], [2]],
    companies=1,
)


def counted(**fields):
    return Fields.of(training_set([0] * 4, [], fields, companies=1)).counted


def test_a_field_the_source_lacks_and_one_that_says_nothing_are_not_counted():
    found = counted(place=[1, 2, 1, 0], category=[0, 0, 0, 0], method=[1, 1, 1, 1])
    assert {name: codes.tolist() for name, codes in found.items()} == {"place": [1, 2, 1, 0]}


def test_two_fields_together_tell_apart_what_each_alone_does_not_and_are_unknown_where_either_is():
    found = counted(unit=[1, 1, 2, 1], place=[1, 2, 1, 0])
    assert set(found) == {"unit", "place", "unit and place"}
    both = found["unit and place"]
    assert both[3] == 0
    assert len(set(both[:3].tolist()) - {0}) == 3


def test_the_most_telling_name_of_a_field_is_taken():
    assert counted(buyer_id=[1, 2, 3, 4], department=[1, 1, 2, 2])["unit"].tolist() == [1, 2, 3, 4]
    assert counted(buyer_id=[1, 2, 3, 4], unit=[2, 1, 1, 1])["unit"].tolist() == [2, 1, 1, 1]


def test_a_source_with_everything_has_every_counted_field_and_one_with_nothing_none():
    names = {name for parts in COUNTED.values() for part in parts for name in part}
    assert set(counted(**{name: [1, 2, 1, 2] for name in names})) == set(COUNTED)
    assert counted() == {}


@pytest.mark.parametrize("fields", [{}, {"place": [1, 2, 1, 2]}])
def test_attributes_and_words_of_all_notices_are_rows_whatever_there_is(fields):
    made = Fields.of(training_set([0] * 4, [], fields, [[0], [], [1, 2], []], companies=1))
    assert made.attributes.shape[0] == made.text.shape[0] == 4
    assert made.attributes.nnz == 4 * len(fields)
    assert made.text.nnz == 3


def test_the_first_field_that_says_anything_is_taken():
    fields = NoticeFields(SET.notice)
    assert fields.codes("buyer_id", "unit").tolist() == [1, 2, 1]
    assert fields.codes("place", "unit").tolist() == [0, 3, 1]
    assert fields.codes("buyer_id", "region") is None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12))
def test_crossed_codes_are_equal_where_both_parts_are_and_unknown_where_either_is(pairs):
    left, right = (np.array([pair[at] for pair in pairs], np.int64) for at in (0, 1))
    crossed = cross(left, right)
    for one, code in zip(pairs, crossed, strict=True):
        assert (code == 0) == (0 in one)
        assert all(
            (code == other_code) == (one == other) for other, other_code in zip(pairs, crossed, strict=True) if code
        )


def test_attributes_are_ones_and_unknown_ones_are_left_out():
    # Two ids of buyer_id's and unit's ranges come before place's: buyer_id has one id, unit three, place four.
    assert attribute_rows(SET.notice).toarray().tolist() == [
        [0, 0, 1, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0, 0, 1],
        [0, 0, 1, 0, 0, 1, 0, 0],
    ]


def test_text_keeps_its_weights():
    half = pytest.approx(np.sqrt(1 / 2))
    assert text_rows(SET.notice).toarray().tolist() == [[half, 0, 0, 0, half], [0] * 5, [0, 0, 1, 0, 0]]


@given(st.lists(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3)), max_size=6), min_size=1, max_size=4))
def test_words_and_attributes_in_any_order_are_those_of_a_plain_loop_and_the_training_set_stays_as_it_was(notices):
    """Of each notice some items, each (id, weight): twice named, a weight is their sum, an attribute counts twice."""
    lengths = np.array([len(items) for items in notices], np.int32)
    ids = np.array([of for items in notices for of, _ in items], np.int32)
    weights = np.array([weight for items in notices for _, weight in items], np.float32)
    schema = {"attributes": [{"name": "place", "base": 0, "size": 5}], "attribute_rows": 5, "text_rows": 5}
    side = replace(
        SET.notice,
        schema=schema,
        dense=np.zeros((len(notices), 0), np.float32),
        attribute_values=ids,
        attribute_lengths=lengths.reshape(-1, 1),
        text_values=ids.copy(),
        text_weights=weights,
        text_lengths=lengths,
    )
    words, attributes = np.zeros((2, len(notices), 5), np.float32)
    for row, items in enumerate(notices):
        for of, weight in items:
            words[row, of] += weight
            attributes[row, of] += of > 0
    before = [column.copy() for column in (side.attribute_values, side.text_values, side.text_weights)]
    for made, expected in ((attribute_rows(side), attributes), (text_rows(side), words)):
        np.testing.assert_array_equal(made.toarray(), expected)
        assert made.has_canonical_format
    for column, same in zip((side.attribute_values, side.text_values, side.text_weights), before, strict=True):
        np.testing.assert_array_equal(column, same)
