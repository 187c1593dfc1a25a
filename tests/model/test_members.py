from dataclasses import replace

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.model.members import HistoryTowers, apart, side_by_side, strongest_axes, turned, vectors_of, vectors_through
from bidrec.model.two_tower import build
from tests.model.test_rows import three_rows
from tests.model.test_towers import SCHEMA, SMALL, company, history, through


def units(seed: int, rows: int, length: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(rows, length, generator=generator), dim=1)


@settings(max_examples=10)
@given(st.integers(1, 4), st.integers(0, 99))
def test_side_by_side_vectors_have_length_one_and_the_mean_of_the_members_cosines(members: int, seed: int) -> None:
    notices = [units(seed + member, 3, 5) for member in range(members)]
    companies = [units(seed + 50 + member, 4, 5) for member in range(members)]
    notice_BW, company_BW = side_by_side(notices), side_by_side(companies)
    torch.testing.assert_close(notice_BW.norm(dim=1), torch.ones(3))
    cosines = torch.stack([a @ b.T for a, b in zip(notices, companies, strict=True)])
    torch.testing.assert_close(notice_BW @ company_BW.T, cosines.mean(0))
    for part, own in zip(apart(notice_BW, members), notices, strict=True):
        torch.testing.assert_close(part, own)


def test_each_member_reads_its_own_part_of_the_notices_vectors() -> None:
    model = build(replace(SMALL, members=2), SCHEMA).eval()
    assert isinstance(model.company, HistoryTowers)
    notice_NW = model.notice(three_rows().take(torch.tensor([0, 1, 2])))
    of = history([[2, 0]], [[1.0, 9.0]])
    first, second = apart(company(model.company, vectors_of(notice_NW, 2), of), 2)
    other_NW = notice_NW.clone()
    other_NW[:, 4:] = units(1, 3, 4)
    moved_first, moved_second = apart(company(model.company, vectors_of(other_NW, 2), of), 2)
    torch.testing.assert_close(moved_first, first)
    assert (moved_second - second).abs().max() > 1e-3
    torch.testing.assert_close(first, company(model.company.members[0], through(apart(notice_NW, 2)[0]), of))


def test_vectors_of_notices_are_the_fresh_ones_and_behind_them_those_of_the_cache() -> None:
    fresh_FW, cache_NW = units(1, 2, 8).requires_grad_(), units(2, 5, 8)
    found = vectors_through(fresh_FW, cache_NW, torch.tensor([4, 0]), members=2)
    rows_TW = torch.cat([fresh_FW.detach(), cache_NW[[4, 0]]])
    for vectors, wanted, own in zip(found, apart(rows_TW, 2), apart(fresh_FW, 2), strict=True):
        torch.testing.assert_close(vectors.scale * vectors.all_ND, wanted)
        torch.testing.assert_close(vectors.scale * vectors.fresh_FD, own)
        assert vectors.fresh_FD.requires_grad
        assert not vectors.all_ND.requires_grad


def test_the_strongest_axes_are_orthogonal_and_keep_what_lies_in_few_directions() -> None:
    inside = units(3, 2, 6)
    notice_NW, company_KW = units(4, 50, 2) @ inside, units(5, 40, 2) @ inside
    axes_WD = strongest_axes(notice_NW, company_KW, 2)
    torch.testing.assert_close(axes_WD.T @ axes_WD, torch.eye(2), atol=1e-5, rtol=0)
    torch.testing.assert_close((notice_NW @ axes_WD) @ (company_KW @ axes_WD).T, notice_NW @ company_KW.T)
    torch.testing.assert_close(strongest_axes(notice_NW.flip(0), company_KW, 2), axes_WD, atol=1e-4, rtol=0)


def test_both_sides_count_for_the_axes_whatever_their_numbers() -> None:
    east, north, up = torch.eye(3)
    axes = strongest_axes(torch.stack([east] * 1000 + [up] * 10), torch.stack([north, north, up]), 2)
    assert turned(torch.stack([east, north]), axes).norm(dim=1).min() > 0.99


def test_a_company_of_which_nothing_is_known_stays_zero() -> None:
    assert not turned(torch.zeros(1, 6), strongest_axes(units(1, 9, 6), units(2, 9, 6), 3)).any()
