"""How words of the data are written in HTML."""

import pytest

from bidrec.reporting.templates import words


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("국도17호선 비탈면 보강공사", '<span lang="ko">국도17호선 비탈면 보강공사</span>'),
        ("M/s 한국 & 도로, Seoul", 'M/s <span lang="ko">한국</span> &amp; <span lang="ko">도로</span>, Seoul'),
        ("<b>길</b>", '&lt;b&gt;<span lang="ko">길</span>&lt;/b&gt;'),
        ("2025 (none)", "2025 (none)"),
        (None, ""),
    ],
)
def test_korean_is_marked_in_one_piece_and_nothing_else_is(given: str | None, written: str) -> None:
    assert words(given) == written
