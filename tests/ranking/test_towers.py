from dataclasses import replace

import numpy as np
import pytest

from bidrec.ranking.ground_truth import known_companies
from bidrec.ranking.pair_features import Towers
from tests.ranking.untrained import write_model
from tests.training.sets import DAY, training_set

SET = training_set(notices=60, companies=12, bidders=2)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("run") / "model", SET)


@pytest.mark.parametrize("moment", [0, 3 * DAY, 3 * DAY + 1, 20 * DAY, 90 * DAY])
def test_the_companies_with_a_vector_are_those_known_before_the_moment(model, moment):
    vectors = Towers(SET, model).as_of(moment)
    length = np.linalg.norm(vectors.company_CD, axis=1)
    np.testing.assert_allclose(length, known_companies(SET, moment), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors.notice_ND, axis=1), 1, atol=1e-5)


def test_what_became_known_at_the_moment_or_later_changes_no_vector(model):
    moment = 20 * DAY
    other = np.where(SET.log_known_at >= moment, 0, SET.log_notice).astype(np.int32)
    before, after = (Towers(ts, model).as_of(moment) for ts in (SET, replace(SET, log_notice=other)))
    np.testing.assert_array_equal(after.company_CD, before.company_CD)
    later = Towers(replace(SET, log_notice=other), model).as_of(60 * DAY)
    assert not np.array_equal(later.company_CD, Towers(SET, model).as_of(60 * DAY).company_CD)
