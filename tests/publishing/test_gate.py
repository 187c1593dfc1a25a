import pytest

from bidrec.errors import GateRefused
from bidrec.publishing.gate import check


def metrics(
    final: float, window: str = "w", inputs: str = "i", baselines: dict | None = None, measured_by: str = "m"
) -> dict:
    baselines = baselines or {"popularity": 0.1, "knn": 0.5, "buyer": 0.2}
    frozen = {name: {"recall@100": value} for name, value in {"final": final, "oracle": 0.9, **baselines}.items()}
    told = {"window": window, "inputs": inputs, "measured_by": measured_by}
    return {**told, "baselines": [*baselines], "metrics": {"frozen": frozen}}


def test_a_model_as_good_as_its_best_baseline_and_the_published_one_or_within_the_margin_passes():
    check(metrics(0.5), None, 0.0)
    check(metrics(0.49), None, 0.02)
    check(metrics(0.6), metrics(0.61), 0.02)


def test_it_is_the_best_of_the_baselines_that_a_model_may_not_be_further_below_than_the_margin():
    rivals = {"popularity": 0.3, "knn": 0.6, "counts": 0.4}
    check(metrics(0.59, baselines=rivals), None, 0.02)
    for margin in (0.0, 0.02):
        with pytest.raises(GateRefused) as refused:
            check(metrics(0.57, baselines=rivals), None, margin)
        assert refused.value.message == "the model's recall@100 0.570 is below knn's 0.600"


@pytest.mark.parametrize(
    ("published", "said"), [(None, "nothing is published yet;"), (metrics(0.5), "the published version stays;")]
)
def test_a_refusal_speaks_of_a_published_version_only_where_there_is_one(published, said):
    with pytest.raises(GateRefused, match="below knn's") as refused:
        check(metrics(0.4), published, 0.0)
    assert refused.value.hint is not None
    assert refused.value.hint.startswith(said)


def test_a_model_worse_than_the_published_one_is_refused_on_the_same_test_and_on_no_other():
    """Figures of another test window, of other data, or by other code do not compare."""
    with pytest.raises(GateRefused, match=r"0\.600 is below the published run's 0\.700"):
        check(metrics(0.6), metrics(0.7), 0.0)
    check(metrics(0.6), metrics(0.7, window="an earlier one"), 0.0)
    check(metrics(0.6), metrics(0.7, inputs="older data"), 0.0)
    check(metrics(0.6), metrics(0.7, measured_by="older code"), 0.0)
    unsaid = [{key: of[key] for key in of if key != "measured_by"} for of in (metrics(0.6), metrics(0.7))]
    check(*unsaid, 0.0)


def test_a_margin_below_zero_asks_for_more_than_the_best_and_a_refusal_says_how_much():
    check(metrics(0.56), None, -0.05)
    with pytest.raises(GateRefused, match=r"0\.540 is below knn's 0\.500 and 0\.05 more \(publish\.margin\)"):
        check(metrics(0.54), None, -0.05)
