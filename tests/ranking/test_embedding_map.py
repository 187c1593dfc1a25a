import numpy as np
import pytest

from bidrec.ranking.embedding_map import COLOURS, OTHERS, POINTS, embedding_map
from bidrec.ranking.segments import UNKNOWN
from bidrec.reporting.charts import points


def unit(rows, length=8, seed=3):
    matrix = np.random.default_rng(seed).normal(size=(rows, length)).astype(np.float32)
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def test_the_plane_holds_the_two_directions_of_most_variance():
    vector = unit(200)
    found = embedding_map(vector, np.full(200, "road"))
    singular = np.linalg.svd(vector - vector.mean(axis=0), compute_uv=False) ** 2
    assert found["explained"] == pytest.approx(singular[:2].sum() / singular.sum(), rel=1e-4)
    spread = np.array(found["points"])[:, :2].var(axis=0) * 200
    assert spread == pytest.approx(singular[:2], rel=1e-2)


def test_the_same_vectors_give_the_same_map_and_mirrored_ones_a_mirrored_one():
    vector, label = unit(50), np.full(50, "road")
    assert embedding_map(vector, label) == embedding_map(vector.copy(), label)


def test_the_largest_categories_have_colours_the_others_and_unknown_ones_share_one_and_all_are_counted():
    label = np.repeat([f"c{number}" for number in range(10)] + [UNKNOWN], [20 - number for number in range(10)] + [99])
    found = embedding_map(unit(len(label)), label)
    names = [one["category"] for one in found["categories"]]
    assert names == [*(f"c{number}" for number in range(COLOURS)), OTHERS]
    assert sum(one["notices"] for one in found["categories"]) == len(label)
    assert {place for _, _, place in found["points"]} == set(range(len(names)))


def test_a_category_that_lies_together_is_closer_than_all():
    vector = unit(100)
    vector[:50] = vector[0]
    found = embedding_map(vector, np.repeat(["one place", "everywhere"], 50))
    closeness = {one["category"]: one["cohesion"] for one in found["categories"]}
    assert closeness["one place"] == pytest.approx(1, abs=1e-3)
    assert closeness["everywhere"] < found["all"] < 1


def test_a_market_of_many_notices_is_thinned_and_one_notice_is_a_map_too():
    assert len(embedding_map(unit(POINTS + 100), np.full(POINTS + 100, "road"))["points"]) == POINTS
    assert embedding_map(unit(1), np.array(["road"]))["points"] == [[0.0, 0.0, 0]]


def test_vectors_of_one_number_lie_on_a_line_which_is_a_map_too():
    vector = np.where(np.arange(40) % 4 == 0, 1, -1).astype(np.float32)[:, None]
    found = embedding_map(vector, np.full(40, "road"))
    assert found["explained"] == pytest.approx(1)
    assert {(abs(x), y) for x, y, _ in found["points"]} == {(0.5, 0.0), (1.5, 0.0)}
    assert "nan" not in points("a line", found["points"])
