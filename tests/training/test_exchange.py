"""The exchange of one field between rows, held to plain lists."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.model.rows import RowBatch
from bidrec.training.exchange import Part, exchanged, parts_of

SCHEMA = {
    "dense_columns": ["value", "value is missing", "picture[0]", "picture[1]", "length"],
    "ages": ["founded_at", "last_bid_at"],
    "attributes": [{"name": "place", "base": 0, "size": 5}, {"name": "tags", "base": 5, "size": 5}],
    "text": [{"name": "title", "base": 0, "buckets": 10}, {"name": "summary", "base": 10, "buckets": 5}],
}
PARTS = {part.name: part for part in parts_of(SCHEMA)}

numbers = st.floats(-5, 5, width=32)
row = st.fixed_dictionaries(
    {
        "value": st.lists(numbers, min_size=2, max_size=2),
        "picture": st.lists(numbers, min_size=2, max_size=2),
        "length": st.lists(numbers, min_size=1, max_size=1),
        "founded_at": st.lists(numbers, min_size=1, max_size=1),
        "last_bid_at": st.lists(numbers, min_size=1, max_size=1),
        "place": st.lists(st.integers(0, 4), min_size=1, max_size=1),
        "tags": st.lists(st.integers(5, 9), min_size=1, max_size=4),
        "title": st.lists(st.tuples(st.integers(0, 9), numbers), max_size=4),
        "summary": st.lists(st.tuples(st.integers(10, 14), numbers), max_size=4),
    }
)


def batch(rows: list[dict]) -> RowBatch:
    text = [term for row in rows for name in ("title", "summary") for term in row[name]]
    return RowBatch(
        dense_BF=torch.tensor([row["value"] + row["picture"] + row["length"] for row in rows]),
        ages_days_BT=torch.tensor([row["founded_at"] + row["last_bid_at"] for row in rows]),
        attributes=torch.tensor([item for row in rows for item in row["place"] + row["tags"]]),
        attribute_lengths_BA=torch.tensor([[len(row["place"]), len(row["tags"])] for row in rows]),
        text=torch.tensor([term for term, _ in text], dtype=torch.int64),
        text_weights=torch.tensor([weight for _, weight in text], dtype=torch.float32),
        text_lengths_B=torch.tensor([len(row["title"]) + len(row["summary"]) for row in rows]),
    )


def test_every_field_has_its_place_in_the_rows() -> None:
    assert PARTS["value"] == Part("value", "dense", 0, 2)
    assert PARTS["picture"] == Part("picture", "dense", 2, 4)
    assert PARTS["summary"] == Part("summary", "text", 10, 15)
    assert [part.kind for part in PARTS.values()] == ["dense"] * 3 + ["age"] * 2 + ["attribute"] * 2 + ["text"] * 2


@settings(deadline=None)
@given(st.data(), st.sampled_from(list(PARTS)), st.integers(1, 5))
def test_the_field_comes_from_the_other_rows_and_everything_else_stays(data, name: str, rows: int) -> None:
    own, other = (data.draw(st.lists(row, min_size=rows, max_size=rows)) for _ in range(2))
    wanted = batch([{**mine, name: theirs[name]} for mine, theirs in zip(own, other, strict=True)])
    found = exchanged(batch(own), batch(other), PARTS[name])
    for column in ("dense_BF", "ages_days_BT", "attributes", "attribute_lengths_BA", "text_lengths_B"):
        torch.testing.assert_close(getattr(found, column), getattr(wanted, column), rtol=0, atol=0, msg=column)
    assert terms(found) == terms(wanted)


def terms(of: RowBatch) -> list[list[tuple[int, float]]]:
    """Each row's terms with their weights; they are summed, so their order does not matter."""
    lengths = of.text_lengths_B.tolist()
    rows = zip(of.text.split(lengths), of.text_weights.split(lengths), strict=True)
    return [sorted(zip(text.tolist(), weights.tolist(), strict=True)) for text, weights in rows]
