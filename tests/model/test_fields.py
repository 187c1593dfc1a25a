import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from bidrec.model.fields import SeparateFields, SummedFields, log_ages
from bidrec.model.rows import Field, Shape
from tests.model.test_rows import three_rows

SHAPE = Shape(dense=1, ages=1, fields=(Field("method", 0, 3), Field("flags", 3, 4)), attribute_rows=7, text_rows=10)
ALL = torch.tensor([0, 1, 2])
NONE = torch.zeros(3, 0)


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
    out, numbers = fields(batch)
    assert (out.shape, numbers.shape) == ((3, fields.block), (3, fields.numbers))
    torch.testing.assert_close(out[:, :4], functional.embedding(torch.tensor([1, 2, 0]), method))
    torch.testing.assert_close(
        out[:, 4:8], functional.embedding_bag(torch.tensor([1, 2, 0, 3]), flags, torch.tensor([0, 2, 3]), mode="sum")
    )


def test_a_side_without_fields_gives_its_numbers_alone() -> None:
    shape = Shape(dense=1, ages=1, fields=(), attribute_rows=0, text_rows=0)
    assert SummedFields(shape, dim=4)(three_rows().take(ALL)).shape == (3, 3)
    blocks, numbers = SeparateFields(shape, dim=4)(three_rows().take(ALL))
    assert (blocks.shape, numbers.shape) == ((3, 0), (3, 3))


def test_a_side_of_nothing_at_all_has_a_constant() -> None:
    batch = three_rows().take(ALL)
    shape = Shape(dense=0, ages=0, fields=(), attribute_rows=0, text_rows=0)
    blocks, numbers = SeparateFields(shape, dim=4)(replace(batch, dense_BF=batch.dense_BF[:, :0], ages_days_BT=NONE))
    assert (blocks.shape, numbers.tolist()) == ((3, 0), [[1.0]] * 3)


def test_fields_of_one_item_each_are_looked_up_without_offsets() -> None:
    torch.manual_seed(0)
    fields, batch = SeparateFields(SHAPE, dim=4), three_rows().take(ALL)
    one_each = replace(
        batch,
        attributes=torch.tensor([0, 3, 2, 6, 2, 4]),
        attribute_lengths_BA=torch.ones(3, 2, dtype=torch.int64),
    )
    torch.testing.assert_close(fields(replace(one_each, single=True)), fields(one_each))


def test_a_missing_age_is_flagged_and_not_mistaken_for_zero_days() -> None:
    zero, missing, years = log_ages(torch.tensor([[0.0], [-1.0], [1_000.0]]))
    assert zero.tolist() == [0.0, 0.0]
    assert missing.tolist() == [0.0, 1.0]
    assert years.tolist() == pytest.approx([math.log(1_001) / 5, 0.0])
