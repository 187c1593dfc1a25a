import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.model.loss.hits import true_bids, without_hits

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), max_size=12)


@settings(max_examples=40, deadline=None)
@given(PAIRS, st.lists(st.integers(0, 6), min_size=1, max_size=10))
def test_a_candidate_is_a_hit_exactly_where_it_bid_on_the_rows_notice(
    bids: list[tuple[int, int]], candidates: list[int]
) -> None:
    row_E, company_E = torch.tensor(bids, dtype=torch.int64).reshape(-1, 2).T
    hit = true_bids(row_E, company_E, 4, torch.tensor(candidates))
    assert hit.tolist() == [[(row, company) in bids for company in candidates] for row in range(4)]


def test_another_true_bidder_weighs_nothing_and_is_not_pushed_away() -> None:
    """Three bids: companies 0 and 1 on notice 0, company 2 on notice 1."""
    logit_RK = torch.tensor([[2.0, 5.0, 1.0], [1.0, 2.0, 3.0], [0.0, 0.0, 0.0]], requires_grad=True)
    hit_RK = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    share_RK = without_hits(logit_RK, hit_RK).softmax(dim=1)
    assert (share_RK == 0).tolist() == [[False, True, False], [True, False, False], [False, False, False]]
    torch.testing.assert_close(share_RK[0, [0, 2]], logit_RK[0, [0, 2]].softmax(dim=0))
    share_RK.diagonal().log().sum().backward()
    assert logit_RK.grad[0, 1] == logit_RK.grad[1, 0] == 0
