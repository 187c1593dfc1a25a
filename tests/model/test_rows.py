import torch
from hypothesis import given
from hypothesis import strategies as st

from bidrec.model.rows import Rows, offsets, ragged


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8), st.data())
def test_ragged_gathers_the_items_of_each_row_in_order(lengths: list[int], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=10))
    begin = [sum(lengths[:i]) for i in range(len(lengths))]
    items, counts = ragged(offsets(torch.tensor(lengths)), torch.tensor(rows, dtype=torch.int64))
    assert items.tolist() == [begin[row] + i for row in rows for i in range(lengths[row])]
    assert counts.tolist() == [lengths[row] for row in rows]


def three_rows() -> Rows:
    """Two fields: a categorical with ids 0..2 and a bag with ids 3..6; row 1 has no title."""
    return Rows.of(
        dense=torch.tensor([[1.0], [2.0], [3.0]]),
        ages=torch.tensor([[0], [86_400], [torch.iinfo(torch.int64).min]]),
        attributes=torch.tensor([1, 4, 5, 2, 3, 0, 6], dtype=torch.int32),
        attribute_lengths=torch.tensor([[1, 2], [1, 1], [1, 1]], dtype=torch.int32),
        text=torch.tensor([7, 8, 9], dtype=torch.int32),
        text_weights=torch.tensor([0.6, 0.8, 1.0]),
        text_lengths=torch.tensor([2, 0, 1], dtype=torch.int32),
    )


def test_a_batch_holds_the_rows_asked_for_in_their_order() -> None:
    batch = three_rows().take(torch.tensor([2, 0]), as_of=2 * 86_400)
    assert batch.dense_BF.tolist() == [[3.0], [1.0]]
    assert batch.attributes.tolist() == [0, 6, 1, 4, 5]
    assert batch.attribute_lengths_BA.tolist() == [[1, 1], [1, 2]]
    assert batch.text.tolist() == [9, 7, 8]
    assert batch.text_lengths_B.tolist() == [1, 2]


def test_an_age_is_the_days_to_the_as_of_and_minus_one_where_missing() -> None:
    batch = three_rows().take(torch.tensor([0, 1, 2]), as_of=2 * 86_400)
    assert batch.ages_days_BT.tolist() == [[2.0], [1.0], [-1.0]]


def test_an_empty_batch_is_empty_everywhere() -> None:
    batch = three_rows().take(torch.tensor([], dtype=torch.int64))
    assert batch.dense_BF.shape == (0, 1)
    assert len(batch.attributes) == len(batch.text) == 0
