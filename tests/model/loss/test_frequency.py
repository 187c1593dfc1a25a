import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.model.loss.frequency import Frequency, corrected


def test_an_id_in_every_third_step_is_expected_a_third_of_a_time() -> None:
    frequency = Frequency(3, decay=0.1)
    for step in range(1, 61):
        frequency.observe(torch.tensor([0, 0, 0, 1] if step % 3 == 0 else [0, 0, 0]))
    assert frequency.rate(torch.tensor([0, 1, 2])).tolist() == pytest.approx([3, 1 / 3, 0])


def test_a_first_occurrence_counts_as_one_since_the_beginning() -> None:
    frequency = Frequency(2, decay=0.01)
    for _ in range(9):
        frequency.observe(torch.tensor([0]))
    frequency.observe(torch.tensor([0, 1]))
    assert frequency.rate(torch.tensor([1])).item() == pytest.approx(1 / 10)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), max_size=6), min_size=1, max_size=20), st.floats(0.01, 1))
def test_the_stream_gives_what_a_loop_over_its_steps_gives(batches: list[list[int]], decay: float) -> None:
    frequency = Frequency(5, decay=decay)
    last, mean_gap, mean_count = [0] * 5, [0.0] * 5, [0.0] * 5
    for step, batch in enumerate(batches, start=1):
        frequency.observe(torch.tensor(batch, dtype=torch.int64))
        for i in set(batch):
            weight = decay if last[i] else 1.0
            mean_gap[i] += weight * (step - last[i] - mean_gap[i])
            mean_count[i] += weight * (batch.count(i) - mean_count[i])
            last[i] = step
    wanted = [count / gap if gap else 0.0 for count, gap in zip(mean_count, mean_gap, strict=True)]
    assert frequency.rate(torch.arange(5)).tolist() == pytest.approx(wanted, rel=1e-4)


def test_a_market_that_changes_is_followed_the_sooner_the_larger_the_decay() -> None:
    rates = []
    for decay in (0.01, 0.2):
        frequency = Frequency(1, decay=decay)
        for step in range(1, 401):  # every 20th step, then every second
            frequency.observe(torch.tensor([0] if step % (20 if step <= 300 else 2) == 0 else [], dtype=torch.int64))
        rates.append(frequency.rate(torch.tensor([0])).item())
    assert rates[0] < 0.1 < rates[1] < 0.5 + 1e-6


def test_ids_of_one_bucket_are_counted_together_and_the_memory_does_not_grow_with_the_ids() -> None:
    exact, hashed = Frequency(10**6, decay=0.05), Frequency(10**6, decay=0.05, buckets=1)
    for _ in range(5):
        exact.observe(torch.tensor([7, 7, 999_999]))
        hashed.observe(torch.tensor([7, 7, 999_999]))
    assert exact.rate(torch.tensor([7, 999_999])).tolist() == pytest.approx([2, 1])
    assert hashed.rate(torch.tensor([7, 999_999])).tolist() == pytest.approx([3, 3])
    assert all(value.numel() == 1 for value in hashed.state().values())


def test_many_buckets_tell_the_ids_apart() -> None:
    frequency = Frequency(10**6, decay=0.05, buckets=1 << 16)
    frequency.observe(torch.tensor([1, 2, 2, 3, 3, 3]))
    assert frequency.rate(torch.tensor([1, 2, 3])).tolist() == pytest.approx([1, 2, 3])


def test_a_restored_estimate_goes_on_as_if_nothing_had_been() -> None:
    one, other = Frequency(4, decay=0.3), Frequency(4, decay=0.3)
    one.observe(torch.tensor([0, 1, 1]))
    other.restore({name: value.clone() for name, value in one.state().items()})
    for frequency in (one, other):
        frequency.observe(torch.tensor([1, 3]))
    assert one.rate(torch.arange(4)).tolist() == other.rate(torch.arange(4)).tolist()


def test_a_company_drawn_twice_as_often_gets_half_the_weight() -> None:
    share_K = corrected(torch.zeros(1, 3), torch.tensor([1.0, 2.0, 0.0])).softmax(dim=1)[0]
    assert share_K.tolist() == pytest.approx([2 / 3, 1 / 3, 0])


def test_the_corrected_softmax_of_batches_estimates_the_catalogues() -> None:
    """Candidates drawn by popularity: the mean of the corrected sums is the sum over all companies once."""
    random = torch.Generator().manual_seed(4)
    popularity = torch.tensor([0.6, 0.3, 0.06, 0.04])
    logit_K = torch.tensor([0.3, -0.2, 1.0, 0.5])
    frequency, sums = Frequency(4, decay=0.01), []
    for step in range(1500):
        drawn = torch.multinomial(popularity, 8, replacement=True, generator=random)
        frequency.observe(drawn)
        if step >= 500:
            sums.append(corrected(logit_K[None, drawn], frequency.rate(drawn)).exp().sum())
    assert torch.stack(sums).mean().item() == pytest.approx(logit_K.exp().sum().item(), rel=0.05)
