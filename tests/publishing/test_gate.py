import pytest

from bidrec.errors import GateRefused
from bidrec.publishing.gate import check


def metrics(final: float, baseline: float = 0.5, window: str = "w", inputs: str = "i") -> dict:
    recalls = {"final": final, "popularity": 0.1, "knn": baseline, "buyer": 0.2}
    frozen = {name: {"recall@100": recall} for name, recall in recalls.items()}
    baselines = ["popularity", "knn", "buyer"]
    return {"window": window, "inputs": inputs, "baselines": baselines, "metrics": {"frozen": frozen}}


def test_a_model_as_good_as_its_best_baseline_and_the_published_one_or_within_the_margin_passes():
    check(metrics(0.5), None, 0.0)
    check(metrics(0.49), None, 0.02)
    check(metrics(0.6), metrics(0.61), 0.02)


@pytest.mark.parametrize(
    ("published", "said"), [(None, "nothing is published yet;"), (metrics(0.5), "the published version stays;")]
)
def test_a_refusal_speaks_of_a_published_version_only_where_there_is_one(published, said):
    with pytest.raises(GateRefused, match="below knn's") as refused:
        check(metrics(0.4), published, 0.0)
    assert refused.value.hint is not None
    assert refused.value.hint.startswith(said)


def test_a_model_worse_than_the_published_one_is_refused_on_the_same_test_and_on_no_other():
    """Figures of another test window, or of other data, do not compare."""
    with pytest.raises(GateRefused, match=r"0\.600 is below the published run's 0\.700"):
        check(metrics(0.6), metrics(0.7), 0.0)
    check(metrics(0.6), metrics(0.7, window="an earlier one"), 0.0)
    check(metrics(0.6), metrics(0.7, inputs="older data"), 0.0)
