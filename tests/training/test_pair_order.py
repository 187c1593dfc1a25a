import torch
from hypothesis import given
from hypothesis import strategies as st

from bidrec.training.pair_order import LEAST_NOTICES, Pieces


@given(
    st.lists(st.integers(0, 6), max_size=60).map(sorted),
    st.integers(1, 40),
    st.integers(0, 30),
    st.booleans(),
    st.integers(1, 5),
    st.randoms(use_true_random=False),
)
def test_every_pair_to_learn_is_in_one_batch_and_a_piece_is_of_one_notice(
    notices: list[int], size: int, window: int, whole: bool, ahead: int, random: object
) -> None:
    learned = torch.tensor([random.random() < 0.7 for _ in notices], dtype=torch.bool)  # type: ignore[attr-defined]
    if not learned.any():
        return
    pieces = Pieces(learned, torch.tensor(notices, dtype=torch.int32), size, whole)
    epoch = pieces.epoch(torch.Generator().manual_seed(1), window)
    batches = [epoch.batches(at)[0] for at in range(len(epoch))]
    assert torch.cat(batches).sort().values.tolist() == learned.nonzero().flatten().tolist()
    most = max(1, size // LEAST_NOTICES) if whole else 1
    for begin, length in zip(pieces.begin.tolist(), pieces.lengths.tolist(), strict=True):
        assert 1 <= length <= most
        assert len(set(notices[begin : begin + length])) == 1
    assert all(0 < len(batch) < size + most for batch in batches)
    for at in range(0, len(epoch), ahead):  # several at once are what each alone is
        together = epoch.batches(at, ahead)
        assert [batch.tolist() for batch in together] == [batch.tolist() for batch in batches[at : at + ahead]]


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=90).map(sorted),
    st.integers(1, 20),
    st.integers(1, 60),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_from_the_first_batch_of_a_window_on_come_the_pairs_that_were_asked_for(
    notices: list[int], size: int, window: int, whole: bool, random: object
) -> None:
    learned = torch.tensor([random.random() < 0.7 for _ in notices], dtype=torch.bool)  # type: ignore[attr-defined]
    if not learned.any():
        return
    pieces = Pieces(learned, torch.tensor(notices, dtype=torch.int32), size, whole)
    most = max(1, size // LEAST_NOTICES) if whole else 1
    epoch = pieces.epoch(torch.Generator().manual_seed(1), window)
    batches, windows = [epoch.batches(at)[0].tolist() for at in range(len(epoch))], epoch.windows()
    runs = [run for w in windows for run in w.runs]
    of_runs = [pair for first, last in runs for pair in range(first, last) if learned[pair]]
    assert sorted(of_runs) == learned.nonzero().flatten().tolist()
    order, begins = [pair for batch in batches for pair in batch], [sum(map(len, batches[: w.batch])) for w in windows]
    for w, begin in zip(windows, begins, strict=True):
        asked = {pair for first, last in w.runs for pair in range(first, last) if learned[pair]}
        assert asked <= set(order[begin : begin + len(asked) + size + most])
        assert asked.isdisjoint(pair for batch in batches[: w.batch] for pair in batch)
        assert asked & set(batches[w.batch])
    assert [w.batch for w in windows] == sorted(w.batch for w in windows)


def test_not_all_pairs_of_a_batch_are_neighbours() -> None:
    """What is shuffled in windows comes from several runs, and is mixed."""
    pieces = Pieces(torch.ones(1_000, dtype=torch.bool), torch.arange(1_000, dtype=torch.int32), 50, whole=False)
    for window in (0, 400):
        epoch = pieces.epoch(torch.Generator().manual_seed(1), window)
        for batch in epoch.batches(0, len(epoch)):
            assert len(set((batch // 50).tolist())) >= 4
            assert (batch.diff() == 1).sum() < 10
