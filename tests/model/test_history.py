import math

import torch
from hypothesis import example, given
from hypothesis import strategies as st

from bidrec.model.history import History, Vectors
from bidrec.model.padded import PaddedHistory
from bidrec.model.rows import offsets

NOTICES, DIM = 5, 3
HALF_LIVES = (10.0, 100.0)
COMPANIES = st.lists(
    st.lists(st.tuples(st.integers(0, NOTICES - 1), st.integers(0, 400)), max_size=6), min_size=1, max_size=6
)
Bids = list[list[tuple[int, int]]]


def history_of(companies: Bids) -> History:
    lengths = torch.tensor([len(bids) for bids in companies])
    flat = [bid for bids in companies for bid in bids]
    notice = torch.tensor([notice for notice, _ in flat], dtype=torch.int64)
    age = torch.tensor([float(age) for _, age in flat])
    return History(notice, age, offsets(lengths), lengths)


def leaves(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.Generator().manual_seed(seed)
    vectors = torch.randn(NOTICES, DIM, generator=drawn).requires_grad_()
    return vectors, torch.randn(len(HALF_LIVES), DIM, generator=drawn).requires_grad_()


def through(vectors: torch.Tensor, fresh: int = NOTICES, scale: float = 1.0) -> Vectors:
    """Gradients pass through the first `fresh` of them."""
    return Vectors(vectors[:fresh] / scale, vectors.detach() / scale, scale)


def told_plainly(
    companies: Bids, vectors: torch.Tensor, gate_HD: torch.Tensor
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """The means and the weights' sums, a bid at a time."""
    gate = vectors @ gate_HD.T
    means: list[list[torch.Tensor]] = [[] for _ in HALF_LIVES]
    totals = []
    for bids in companies:
        for at, half_life in enumerate(HALF_LIVES):
            weights = [torch.exp(gate[notice, at]) * 0.5 ** (age / half_life) for notice, age in bids]
            total = sum(weights, torch.zeros(()))
            mean = sum((w * vectors[notice] for w, (notice, _) in zip(weights, bids, strict=True)), torch.zeros(DIM))
            means[at].append(mean / total.clamp(min=1e-9))
            totals.append(total)
    return [torch.stack(column) for column in means], torch.stack(totals).view(-1, len(HALF_LIVES))


@given(COMPANIES, st.integers(0, 9), st.integers(0, NOTICES), st.sampled_from([1.0, 2**0.5]))
@example([[(0, 0)], [(0, 0), (0, 1)]], 0, 0, 1.0)  # terms of eleven cancel: of the gate's gradient some digits are left
def test_means_sums_and_their_gradients_are_those_of_a_plain_loop(
    companies: Bids, seed: int, fresh: int, scale: float
) -> None:
    """Of the vectors that pass none there is no gradient, whatever bids are on their notices."""
    answers = []
    for way in ("jagged", "padded", "plain"):
        vectors, gate = leaves(seed)
        some = torch.cat([vectors[:fresh], vectors[fresh:].detach()])
        if way == "jagged":
            means, totals = history_of(companies).means(through(vectors, fresh, scale), gate, HALF_LIVES)
        elif way == "padded":
            means, totals = PaddedHistory.of(history_of(companies)).means(some, gate, HALF_LIVES)
        else:
            means, totals = told_plainly(companies, some, gate)
        weighed = [(mean * torch.arange(1.0, DIM + 1)).sum() * (at + 1) for at, mean in enumerate(means)]
        no_bid_at_all = 0 * (vectors.sum() + gate.sum())
        (sum(weighed, no_bid_at_all) + totals.sum()).backward()
        assert vectors.grad is not None
        assert gate.grad is not None
        answers.append((*means, totals, vectors.grad, gate.grad))
    for given_, padded, wanted in zip(*answers, strict=True):
        torch.testing.assert_close(given_, wanted, atol=5e-5, rtol=1e-5)
        torch.testing.assert_close(padded, wanted, atol=5e-5, rtol=1e-5)


@given(COMPANIES, st.data())
def test_parts_of_a_history_have_the_means_of_the_whole(companies: Bids, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(companies)))
    vectors, gate = leaves(0)
    whole = history_of(companies)
    parts = whole.split([cut, len(companies) - cut])
    for at in range(len(HALF_LIVES)):
        means = torch.cat([part.means(through(vectors), gate, HALF_LIVES)[0][at] for part in parts])
        torch.testing.assert_close(means, whole.means(through(vectors), gate, HALF_LIVES)[0][at])
    for column in range(2):
        torch.testing.assert_close(torch.cat([part.newest()[column] for part in parts]), whole.newest()[column])


def test_the_newest_bid_is_the_first_of_a_company_and_none_is_zero_days_and_false() -> None:
    days, there = history_of([[(0, 7), (1, 9)], [], [(2, 0)]]).newest()
    assert (days.tolist(), there.tolist()) == ([7.0, 0.0, 0.0], [True, False, True])


def test_a_bid_one_half_life_older_weighs_half() -> None:
    vectors = torch.eye(NOTICES)[:, :DIM]
    means, totals = history_of([[(0, 0), (1, 10)]]).means(through(vectors), torch.zeros(1, DIM), (10.0,))
    torch.testing.assert_close(means[0], torch.tensor([[2 / 3, 1 / 3, 0]]))
    assert math.isclose(totals.item(), 1.5)
