import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from bidrec.errors import ContractError
from bidrec.ranking.pair_features import FIXED, NEWCOMERS, names_of
from bidrec.ranking.reranker import PRIOR, PULL, Blend, learn

NAMES = names_of(["unit", "place"])
SIGNALS, QUERIES, CANDIDATES = len(NAMES), 30, 5
PRIOR_S = np.array([PRIOR.get(name, 0.0) for name in NAMES])
EVERYWHERE = np.ones((QUERIES, CANDIDATES), bool)
SCALES = np.geomspace(0.01, 100, SIGNALS)


def drawn(seed):
    """Signals of different sizes, and shifted."""
    return (np.random.default_rng(seed).normal(size=(QUERIES, CANDIDATES, SIGNALS)) * SCALES + 3).astype(np.float32)


def largest_of(signal_QMS, signal):
    """The candidate with the most of a signal bids."""
    return np.arange(CANDIDATES) == signal_QMS[:, :, signal].argmax(axis=1)[:, None]


@settings(max_examples=8)
@given(st.integers(0, SIGNALS - 1), st.integers(0, 1000))
def test_the_signal_that_tells_who_bids_weighs_most_and_ranks_the_bidder_first(planted, seed):
    signal_QMS = drawn(seed)
    bidder_QM = largest_of(signal_QMS, planted)
    made = learn(NAMES, signal_QMS, EVERYWHERE, bidder_QM)
    assert np.argmax(made.weight) == planted
    assert (made.scores(signal_QMS).argmax(axis=1) == bidder_QM.argmax(axis=1)).mean() > 0.8
    assert made.notices == QUERIES


@settings(max_examples=5)
@given(st.integers(0, 1000))
def test_no_other_weights_have_a_smaller_loss(seed):
    random = np.random.default_rng(seed)
    signal_QMS, present_QM = drawn(seed), random.random((QUERIES, CANDIDATES)) < 0.8
    bidder_QM = present_QM & (random.random((QUERIES, CANDIDATES)) < 0.3)
    weight_S = np.array(learn(NAMES, signal_QMS, present_QM, bidder_QM).weight)
    least = minimize(loss, PRIOR_S, (signal_QMS, present_QM, bidder_QM))
    assert loss(weight_S, signal_QMS, present_QM, bidder_QM) == pytest.approx(least.fun, abs=1e-4)


def loss(weight_S, signal_QMS, present_QM, bidder_QM):
    """The mean over the notices with a bidder of its bidders' mean negative log share, and the pull; a plain loop."""
    seen = signal_QMS[present_QM].astype(np.float64)
    score_QM = (signal_QMS - seen.mean(axis=0)) / seen.std(axis=0) @ weight_S
    terms = []
    for score, present, bidder in zip(score_QM, present_QM, bidder_QM, strict=True):
        if bidder.any():
            terms.append(np.mean(np.log(np.exp(score[present]).sum()) - score[bidder]))
    return np.mean(terms) + PULL * ((weight_S - PRIOR_S) ** 2).sum()


def test_with_nothing_to_learn_from_the_weights_are_the_prior():
    signal_QMS, nobody = drawn(1), np.zeros_like(EVERYWHERE)
    for made in (
        learn(NAMES, signal_QMS, EVERYWHERE, nobody),
        learn(NAMES, signal_QMS, nobody, nobody),
        learn(NAMES, signal_QMS[:0], EVERYWHERE[:0], nobody[:0]),
    ):
        assert made.weight == pytest.approx(PRIOR_S)
        assert made.notices == 0
        assert np.isfinite(made.scores(signal_QMS)).all()
    assert set(PRIOR) <= set(FIXED)


def test_a_signal_that_is_the_same_for_all_keeps_its_prior_and_disturbs_no_score():
    signal_QMS = drawn(1)
    bidder_QM = largest_of(signal_QMS, 1)
    constant = signal_QMS.copy()
    constant[:, :, 0], constant[:, :, -1] = 8.0064, 0
    made = learn(NAMES, constant, EVERYWHERE, bidder_QM)
    assert (made.weight[0], made.weight[-1]) == pytest.approx((PRIOR_S[0], PRIOR_S[-1]), abs=1e-4)
    assert np.argmax(made.weight) == 1
    constant[:, :, 0] = 8.0
    assert (made.scores(constant).argmax(axis=1) == bidder_QM.argmax(axis=1)).mean() > 0.8


def test_a_signal_that_is_the_same_for_a_million_candidates_has_its_mean_and_no_deviation():
    signal_QMS = np.zeros((1000, 1000, SIGNALS), np.float32)
    signal_QMS[:, :, 0] = 8.0064
    everywhere = np.ones((1000, 1000), bool)
    made = learn(NAMES, signal_QMS, everywhere, ~everywhere)
    assert (made.mean[0], made.deviation[0]) == (8.0064, 1.0)


def test_a_signal_of_few_newcomers_weighs_what_it_says_and_not_how_few_they_are():
    newcomer = NAMES.index(NEWCOMERS[0])
    signal_QMS = drawn(7)
    signal_QMS[:, :, [NAMES.index(name) for name in NEWCOMERS]] = 0
    signal_QMS[0, 2, newcomer] = 1
    bidder_QM = np.random.default_rng(8).random((QUERIES, CANDIDATES)) < 0.3
    bidder_QM[0] = np.arange(CANDIDATES) == 2
    made = learn(NAMES, signal_QMS, EVERYWHERE, bidder_QM)
    assert made.scores(signal_QMS)[0].argmax() == 2
    assert made.weight[newcomer] / made.deviation[newcomer] > 3
    others = tuple("of all" if name == NEWCOMERS[0] else name for name in NAMES)
    assert made.weight[newcomer] > 1.5 * learn(others, signal_QMS, EVERYWHERE, bidder_QM).weight[newcomer]


def test_what_stands_where_no_candidate_is_teaches_nothing():
    signal_QMS = drawn(2)
    present_QM = np.random.default_rng(3).random((QUERIES, CANDIDATES)) < 0.7
    bidder_QM = largest_of(signal_QMS, 3) & present_QM
    other = np.where(present_QM[:, :, None], signal_QMS, np.float32(77))
    assert learn(NAMES, other, present_QM, bidder_QM) == learn(NAMES, signal_QMS, present_QM, bidder_QM)


def test_notices_none_of_whose_bidders_is_a_candidate_are_not_learned_from():
    signal_QMS = drawn(4)
    bidder_QM = largest_of(signal_QMS, 2)
    bidder_QM[::2] = False
    assert learn(NAMES, signal_QMS, EVERYWHERE, bidder_QM).notices == QUERIES / 2


def test_a_score_is_the_weighted_sum_of_the_signals_less_their_mean_over_their_deviation():
    made = learn(NAMES, drawn(5), EVERYWHERE, largest_of(drawn(5), 4))
    mean_S, deviation_S, weight_S = (np.array(column) for column in (made.mean, made.deviation, made.weight))
    expected = ((drawn(6) - mean_S) / deviation_S) @ weight_S
    np.testing.assert_allclose(made.scores(drawn(6)), expected, rtol=1e-3, atol=1e-3)
    assert made.counted == ("unit", "place")


def test_the_probabilities_of_the_candidates_learned_from_add_up_to_their_bids_and_follow_the_score():
    """As in Platt's paper, bids and non-bids count as slightly less than certain."""
    present_QM = np.random.default_rng(1).random((QUERIES, CANDIDATES)) < 0.9
    signal_QMS, bidder_QM = drawn(2), present_QM & (np.random.default_rng(3).random((QUERIES, CANDIDATES)) < 0.2)
    made = learn(NAMES, signal_QMS, present_QM, bidder_QM)
    score_P = made.levelled(made.scores(signal_QMS), present_QM)[present_QM]
    bids, others = int(bidder_QM.sum()), int((present_QM & ~bidder_QM).sum())
    expected = bids * (bids + 1) / (bids + 2) + others / (others + 2)
    assert made.probabilities(score_P).sum() == pytest.approx(expected, rel=1e-3)
    chance_P = 1 / (1 + np.exp(-made.slope * score_P.astype(np.float64) - made.offset))
    np.testing.assert_allclose(made.probabilities(score_P), chance_P, rtol=1e-4)
    assert made.slope > 0


def test_what_all_candidates_of_a_notice_have_in_common_is_taken_from_their_scores_as_far_as_it_says_nothing():
    """Every notice has some bidders, whatever the level of its candidates' signals; the first one tells which."""
    random = np.random.default_rng(9)
    signal_QMS = drawn(9) + random.normal(size=(QUERIES, 1, SIGNALS)).astype(np.float32) * np.float32(3) * SCALES
    signal_QMS = signal_QMS.astype(np.float32)
    made = learn(NAMES, signal_QMS, EVERYWHERE, largest_of(signal_QMS, 0))
    assert made.level > 0.8
    score_QM = made.scores(signal_QMS)
    levelled_QM = made.levelled(score_QM, EVERYWHERE)
    assert (np.argsort(levelled_QM, axis=1) == np.argsort(score_QM, axis=1)).all()
    assert made.probabilities(levelled_QM).sum(axis=1) == pytest.approx(np.ones(QUERIES), abs=0.5)


NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=SIGNALS, max_size=SIGNALS).map(tuple)
BLENDS = st.builds(
    Blend,
    *(st.just(NAMES), NUMBERS, NUMBERS, NUMBERS, st.integers(0, 3000)),
    slope=st.floats(-10, 10),
    offset=st.floats(-10, 10),
    level=st.floats(0, 1),
)


@settings(max_examples=20)
@given(BLENDS)
def test_what_is_saved_is_read_back_exactly(tmp_path_factory, made):
    folder = tmp_path_factory.mktemp("run") / "second_stage"
    made.save(folder)
    assert Blend.load(folder) == made


@pytest.fixture
def saved(tmp_path):
    folder = tmp_path / "second_stage"
    learn(NAMES, drawn(1), EVERYWHERE, largest_of(drawn(1), 0)).save(folder)
    return folder


@pytest.mark.parametrize("spoil", ["a changed digit", "half of it", "nothing", "no file", "no manifest", "no folder"])
def test_a_damaged_blend_is_refused(saved, spoil):
    file = saved / "blend.json"
    text = file.read_text()
    if spoil == "a changed digit":
        file.write_text(text.replace("0", "1", 1))
    elif spoil in ("half of it", "nothing"):
        file.write_text(text[: len(text) // 2] if spoil == "half of it" else "")
    elif spoil == "no folder":
        saved.rename(saved.with_name("elsewhere"))
    else:
        (saved / ("manifest.json" if spoil == "no manifest" else "blend.json")).unlink()
    with pytest.raises(ContractError, match="damaged or unfinished") as error:
        Blend.load(saved)
    assert error.value.exit_code == 65


def test_a_blend_of_other_signals_is_refused(saved):
    made = Blend.load(saved)
    assert json.loads((saved / "blend.json").read_text())["signals"] == list(NAMES)
    replace(made, signals=("towers", "luck", *NAMES[2:])).save(saved)
    with pytest.raises(ContractError, match="other signals"):
        Blend.load(saved)
