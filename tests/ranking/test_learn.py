from dataclasses import replace

import numpy as np
import pytest

from bidrec.config import Config, Ranking
from bidrec.ranking import reranker
from bidrec.ranking.counts import Fields
from bidrec.ranking.eligibility import Eligibility
from bidrec.ranking.ground_truth import Truth, known_companies
from bidrec.ranking.pair_features import Evidence, Towers
from bidrec.ranking.reranker import PRIOR, FinalRanker, learn_blend
from bidrec.runs.run import Run
from tests.ranking.untrained import write_model
from tests.training.sets import DAY, KINDS, training_set

pytestmark = pytest.mark.usefixtures("everything_counts")

SET = training_set(notices=120, companies=20, bidders=2)
CONFIG = Config(ranking=Ranking(candidates=30, neighbours=50, tower_neighbours=20, eligibility=False))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("runs") / "run")
    write_model(run.model, SET)
    return run


@pytest.fixture
def learned(run):
    return learn_blend(CONFIG, run, SET)


def test_the_blend_ranks_companies_of_the_notice_s_kind_first_though_the_towers_have_learned_nothing(run, learned):
    vectors, known_C = Towers(SET, run.model).as_of(SET.cutoff), known_companies(SET, SET.cutoff)
    evidence = Evidence(SET, Fields.of(SET), SET.cutoff, vectors, known_C, Eligibility(SET, ()), CONFIG.ranking)
    truth = Truth.of(SET, SET.cutoff, SET.test_before)
    scores_QC = FinalRanker(evidence, learned, CONFIG.ranking).scores(truth.notices)
    kind = SET.notice.attribute_values[truth.notices] - 1
    of_its_kind = np.arange(SET.companies) % KINDS == kind[:, None]
    of_its_kind[:, :2] = False  # these two never bid
    best = np.argsort(-scores_QC, axis=1)[:, :3]
    assert np.take_along_axis(of_its_kind, best, axis=1).mean() > 0.9


def test_it_is_learned_with_the_weights_that_have_not_seen_the_window(run, learned, tmp_path):
    both, alone = Run(tmp_path / "both"), Run(tmp_path / "alone")
    write_model(both.model, SET)
    for folder in (both.validated, alone.model):
        write_model(folder, SET, seed=2)
    assert learn_blend(CONFIG, both, SET) == learn_blend(CONFIG, alone, SET) != learned


def test_bids_opened_at_or_after_the_cutoff_teach_nothing(run, learned):
    late = SET.pair_known_at >= SET.cutoff
    companies = np.where(late, 2, SET.pair_company).astype(np.int32)
    assert late.any()
    assert learn_blend(CONFIG, run, replace(SET, pair_company=companies)) == learned


def test_every_stretch_is_of_the_week_after_its_moment_and_holds_known_bids_alone(monkeypatch):
    stretches = reranker._stretches(SET)
    everything = np.concatenate([notices for notices, _, _ in stretches])
    published = SET.notice_published_at
    inside = (published >= SET.validation_from) & (published + 3 * DAY < SET.cutoff)
    assert everything.tolist() == np.flatnonzero(inside).tolist()
    known = SET.pair_known_at < SET.cutoff
    keys = set((SET.pair_notice[known].astype(np.int64) * SET.companies + SET.pair_company[known]).tolist())
    for notices, moment, bids in stretches:
        assert (published[notices] >= moment).all()
        assert (published[notices] < moment + 7 * DAY).all()
        assert set(bids.tolist()) <= keys
    monkeypatch.setattr(reranker, "NOTICES", 5)
    assert len(np.concatenate([notices for notices, _, _ in reranker._stretches(SET)])) <= 5 + len(stretches)


def test_of_the_candidates_those_who_are_known_to_have_bid_on_the_notice_are_its_bidders_and_nobody_else(run):
    """Everybody who is known is a candidate, so that of each notice as many bidders are marked as were known then; the
    last company, which an empty place of the next notice's row might be taken for, is among them everywhere."""
    everybody = Config(ranking=replace(CONFIG.ranking, candidates=3 * SET.companies))
    first = np.diff(SET.pair_notice, prepend=-1) > 0
    late = ~first & (np.arange(len(first)) % 3 == 0) & (SET.pair_known_at < SET.cutoff)
    last = SET.companies - 1
    companies = np.where(first, last, np.where(SET.pair_company == last, 2, SET.pair_company)).astype(np.int32)
    world = replace(SET, pair_company=companies, pair_known_at=np.where(late, SET.cutoff, SET.pair_known_at))
    _, present, bidder = reranker._gathered(everybody, run, world, Fields.of(world))
    expected = []
    for notices, moment, _ in reranker._stretches(world):
        known = known_companies(world, moment)[world.pair_company] & (world.pair_known_at < world.cutoff)
        expected += [int((known & (world.pair_notice == notice)).sum()) for notice in notices]
    assert bidder.sum(axis=1).tolist() == expected
    assert not (bidder & ~present).any()
    assert {1, 2} <= set(expected)


def test_nothing_known_from_its_moment_on_changes_the_signals_of_a_stretch(run):
    """Of the second stretch: afterwards others bid on the window's notices, histories are of other notices, and a
    company becomes known by its record."""
    everybody = Config(ranking=replace(CONFIG.ranking, candidates=3 * SET.companies))
    stretches = reranker._stretches(SET)
    moment = stretches[1][1]
    until = sum(len(notices) for notices, *_ in stretches[:2])
    made = []
    for record_from, other in ((SET.cutoff, False), (moment, True)):
        version_known_at = np.where(SET.version_company == 0, record_from, SET.version_known_at)
        pair, event = (
            other & (known_at >= moment) & (known_at < SET.cutoff) for known_at in (SET.pair_known_at, SET.log_known_at)
        )
        world = replace(
            SET,
            pair_company=np.where(pair, 2, SET.pair_company).astype(np.int32),
            log_notice=np.where(event, 0, SET.log_notice).astype(np.int32),
            profile_known_at=np.full(1, record_from),
            version_known_at=version_known_at,
        )
        signals, present, _ = reranker._gathered(everybody, run, world, Fields.of(world))
        made.append([signals[rows][present[rows]] for rows in (slice(until), slice(until, None))])
    (before, later), (changed_before, changed_later) = made
    np.testing.assert_array_equal(changed_before, before)
    assert not np.array_equal(changed_later, later)


def test_a_window_without_a_known_bid_leaves_the_prior(run):
    split = SET.manifest["split"] | {"validation_from": SET.cutoff - DAY}
    made = learn_blend(CONFIG, run, replace(SET, manifest=SET.manifest | {"split": split}))
    assert dict(zip(made.signals, made.weight, strict=True)) == pytest.approx(
        {name: PRIOR.get(name, 0) for name in made.signals}
    )
    assert made.notices == 0
