import pytest
import torch

from bidrec.model.loss.negatives import sampled_candidates, uniform_negatives


def test_a_sample_of_candidates_keeps_every_bidder_and_stands_for_all_companies() -> None:
    known = torch.arange(2, 40)
    candidates, log_weight = sampled_candidates(known, torch.tensor([5, 9, 5]), limit=12)
    assert len(candidates) == 12
    assert len(candidates.unique()) == 12
    assert {5, 9} <= set(candidates.tolist())
    assert log_weight.exp().sum().item() == pytest.approx(len(known), rel=1e-5)


def test_every_other_company_is_as_likely_in_the_sample() -> None:
    torch.manual_seed(1)
    known, bidders = torch.arange(2, 12), torch.tensor([4, 9])
    drawn = (
        torch.cat([sampled_candidates(known, bidders, limit=4)[0] for _ in range(8_000)]).bincount(minlength=12) / 8_000
    )
    torch.testing.assert_close(drawn[[4, 9]], torch.ones(2))
    others = [company for company in known.tolist() if company not in bidders.tolist()]
    torch.testing.assert_close(drawn[others], torch.full((8,), 2 / 8), atol=0.02, rtol=0)


def test_bidders_that_are_more_than_the_limit_still_have_one_to_be_compared_with_that_stands_for_all_others() -> None:
    candidates, log_weight = sampled_candidates(torch.arange(9), torch.arange(5), limit=3)
    assert candidates[:5].tolist() == [0, 1, 2, 3, 4]
    assert candidates[5:].tolist() in [[5], [6], [7], [8]]
    assert log_weight.exp().tolist() == pytest.approx([1] * 5 + [4])


def test_all_known_companies_are_candidates_where_they_fit() -> None:
    candidates, log_weight = sampled_candidates(torch.arange(2, 40), torch.tensor([5]), limit=100)
    assert candidates.tolist() == list(range(2, 40))
    assert not log_weight.any()


def test_bidders_stand_for_themselves_where_nobody_else_is_known() -> None:
    candidates, log_weight = sampled_candidates(torch.arange(5), torch.arange(5), limit=4)
    assert candidates.tolist() == [0, 1, 2, 3, 4]
    assert not log_weight.any()


def test_every_known_company_is_as_likely_a_negative_and_no_other_is_one() -> None:
    torch.manual_seed(1)
    known = torch.tensor([2, 3, 7])
    drawn = uniform_negatives(known, 30_000).bincount(minlength=8) / 30_000
    torch.testing.assert_close(drawn[known], torch.full((3,), 1 / 3), atol=0.02, rtol=0)
    assert drawn.sum().item() == pytest.approx(drawn[known].sum().item())
