import pytest
import torch

from bidrec.config import Model
from bidrec.model.two_tower import build
from bidrec.training import embed
from bidrec.training.embed import company_vectors, notice_vectors
from bidrec.training.resident import Resident
from tests.training.sets import DAY, training_set

SET = training_set(notices=60)
DATA = Resident.of(SET, torch.device("cpu"))
SMALL = {"embedding_dim": 8, "table_dim": 8, "hidden": (16,), "company_hidden": 8, "dropout": 0.5}


@pytest.mark.parametrize("kind", ["history", "static"])
@pytest.mark.parametrize("training", [True, False])
def test_a_model_in_training_gives_the_vectors_that_it_publishes_and_stays_in_training(
    kind: str, training: bool
) -> None:
    """Nothing is dropped, the whole history is read, in blocks of any size, and no random number is used up."""
    settings = Model(kind=kind, history_length=12, training_history=2, **SMALL)
    model = build(settings, SET.schema)
    wanted_ND = model.eval().notice(DATA.notice.take(torch.arange(60), DATA.published_at)).detach()
    wanted_CD, known_C = company_vectors(model, DATA, wanted_ND, 50 * DAY)
    model.train(training)
    random = torch.get_rng_state()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embed, "BLOCK", 7)
        notice_ND = notice_vectors(model, DATA)
        company_CD, found_C = company_vectors(model, DATA, notice_ND, 50 * DAY)
    torch.testing.assert_close(notice_ND, wanted_ND)
    torch.testing.assert_close(company_CD, wanted_CD)
    assert torch.equal(found_C, known_C)
    assert (model.training, model.notice.training, model.company.training) == (training,) * 3
    assert torch.equal(torch.get_rng_state(), random)
