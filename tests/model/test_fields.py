import math

import pytest
import torch
from torch.nn import functional

from bidrec.model.fields import SeparateFields, SummedFields, log_ages
from bidrec.model.rows import Field, Shape
from tests.model.test_rows import three_rows

SHAPE = Shape(dense=1, ages=1, fields=(Field("method", 0, 3), Field("flags", 3, 4)), attribute_rows=7, text_rows=10)
ALL = torch.tensor([0, 1, 2])


def test_summed_fields_equal_a_sum_over_plain_embeddings() -> None:
    fields, batch = SummedFields(SHAPE, dim=4), three_rows().take(ALL)
    attributes, text = fields.attributes.weight, fields.text.weight
    out = fields(batch)
    assert out.shape == (3, fields.width)
    torch.testing.assert_close(out[0, :4], attributes[1] + attributes[4] + attributes[5])
    torch.testing.assert_close(out[0, 4:8], 0.6 * text[7] + 0.8 * text[8])
    torch.testing.assert_close(out[1, 4:8], torch.zeros(4))
    assert out[:, 8].tolist() == [1.0, 2.0, 3.0]


def test_separate_fields_equal_one_embedding_bag_a_field() -> None:
    fields, batch = SeparateFields(SHAPE, dim=4), three_rows().take(ALL)
    method, flags = fields.attributes.weight[:3], fields.attributes.weight[3:]
    out = fields(batch)
    assert out.shape == (3, fields.width)
    torch.testing.assert_close(out[:, :4], functional.embedding(torch.tensor([1, 2, 0]), method))
    torch.testing.assert_close(
        out[:, 4:8], functional.embedding_bag(torch.tensor([1, 2, 0, 3]), flags, torch.tensor([0, 2, 3]), mode="sum")
    )


def test_a_side_without_fields_gives_its_numbers_alone() -> None:
    shape = Shape(dense=1, ages=1, fields=(), attribute_rows=0, text_rows=0)
    assert SummedFields(shape, dim=4)(three_rows().take(ALL)).shape == (3, 3)
    assert SeparateFields(shape, dim=4)(three_rows().take(ALL)).shape == (3, 3)


def test_a_missing_age_is_flagged_and_not_mistaken_for_zero_days() -> None:
    zero, missing, years = log_ages(torch.tensor([[0.0], [-1.0], [1_000.0]]))
    assert zero.tolist() == [0.0, 0.0]
    assert missing.tolist() == [0.0, 1.0]
    assert years.tolist() == pytest.approx([math.log(1_001) / 5, 0.0])
