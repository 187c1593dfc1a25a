import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidrec.ranking.metrics import NO_BASELINE, compare, resampled_means

RIVALS = ("popularity", "knn", "counts")


def compared(values, resamples=0):
    """`values`: ranker -> recall@10 of each query, what all are compared by; another metric is its complement."""
    arrays = {name: np.array(of, np.float64) for name, of in values.items()}
    table = {name: {"missed": 1 - of, "recall@10": of} for name, of in arrays.items()}
    return compare(table, {}, resamples, 7, model="final", mode="rolling", chosen_by="recall@10")


@given(st.permutations(RIVALS), st.lists(st.floats(0, 0.9), min_size=3, max_size=3, unique=True), st.floats(0, 1))
def test_the_best_baseline_is_that_of_the_highest_mean_wherever_it_stands(order, reached, final):
    rivals = dict(zip(order, reached, strict=True))
    found = compared(
        {"final": [final] * 2, **dict.fromkeys(NO_BASELINE, [1.0] * 2)} | {n: [v] * 2 for n, v in rivals.items()}
    )
    assert found["baselines"] == list(order)
    assert found["best_baseline"] == max(rivals, key=rivals.__getitem__)
    assert found["difference"]["mean"] == pytest.approx(final - max(reached))
    assert found["difference"]["baseline"] == found["best_baseline"]


def test_the_lead_is_measured_query_by_query_in_every_metric():
    final, knn = np.array([0.9, 0.5, 0.7, 0.1]), np.array([0.6, 0.5, 0.1, 0.2])
    difference = compared({"knn": knn, "final": final}, resamples=400)["difference"]
    lead = resampled_means((final - knn)[:, None], 400, 7)[:, 0]
    assert difference["mean"] == pytest.approx((0.3 + 0 + 0.6 - 0.1) / 4)
    assert difference["ci"] == pytest.approx(np.percentile(lead, [2.5, 97.5]))
    assert difference["by_metric"]["missed"]["mean"] == pytest.approx(-difference["mean"])
    assert difference["by_metric"]["missed"]["ci"] == pytest.approx([-edge for edge in difference["ci"][::-1]])
