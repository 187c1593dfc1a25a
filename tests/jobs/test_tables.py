import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from rich.console import Console, RenderableType

from bidrec.ranking.metrics import compare, per_notice
from jobs.list_tables import companies_table, notices_table
from jobs.metrics_table import metrics_table
from jobs.output import Result, emit

FOLDER = Path("runs/20250101T000000Z-abcdef")

NOTICE = {
    "rank": 1,
    "notice_id": "20250600343-000",
    "title": "성남시 분당구 이면도로 재포장공사 및 부대시설 정비공사(추가)",
    "buyer": "조달청 경기지방조달청",
    "unit": None,
    "place": "경기도 성남시 분당구",
    "value": 13_852_464_000.0,
    "currency": "KRW",
    "closes_at": datetime(2025, 7, 14, 1, tzinfo=UTC),
    "score": 0.457,
    "score_is": "probability",
    "reasons": [{"of": "office", "bids": 1234, "days_ago": 1809}],
}
AS_OF = datetime(2025, 6, 30, 8, 32, 54, tzinfo=UTC)
SEOUL = ZoneInfo("Asia/Seoul")
COMPANY = {
    "rank": 1,
    "company_id": "0843127402",
    "name": "주식회사 진성엔지니어링종합건설",
    "region": "전북특별자치도",
    "bids": 12_345,
    "last_bid_at": None,
    "score": 0.308,
    "score_is": "probability",
    "reasons": [{"of": "office", "bids": 1, "days_ago": 0}],
}


def printed(table: RenderableType, width: int) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(table)
    return file.getvalue()


def metrics(resamples: int, top_k: tuple[int, ...] = (10, 50)) -> dict[str, Any]:
    """Two rankers on four notices with a bidder each."""
    query, known = np.arange(4), np.ones(4, bool)
    values = {
        name: per_notice(np.array(ranks), query, known, 4, top_k)
        for name, ranks in (("final", [0, 3, 30, 300]), ("knn", [1, 40, 400, 400]))
    }
    window = {"from": "2024-01-01", "until": "2024-02-01", "notices": 4, "candidates": 500}
    compared = compare(values, {}, resamples, 7, model="final", mode="frozen", chosen_by="recall@100")
    return {"window": window, **compared}


def test_without_resamples_there_are_no_intervals_and_the_table_says_so() -> None:
    words = printed(metrics_table(metrics(0), FOLDER), 120)
    assert words.endswith(f"Run: {FOLDER}\n")
    assert [line.split()[-2] for line in words.splitlines() if "│ frozen" in line] == ["none", "none"]
    assert "recall@100 +0.250, no interval: evaluation.bootstrap is 0" in words
    assert "95 % " in printed(metrics_table(metrics(50), FOLDER), 120).partition("against the best baseline")[2]


def test_the_table_says_of_how_many_notices_the_ranked_ones_are() -> None:
    thinned = metrics(0)
    thinned["window"]["notices_with_bids"] = 12_345
    assert ": 4 of 12,345 notices," in printed(metrics_table(thinned, FOLDER), 120)
    assert ": 4 notices," in printed(metrics_table(metrics(0), FOLDER), 120)


def test_the_table_of_notices_for_a_company_says_on_how_many_it_may_bid() -> None:
    """Ten first places find nearly everything where there are hardly more than ten to be listed."""
    other_way = {**metrics(0), "queries": 3_797, "open_notices": 72.45, "eligible_notices": 9.52}
    words = " ".join(printed(metrics_table({**metrics(0), "for_companies": other_way}, FOLDER), 120).split())
    assert "Notices for a company, by period: 3,797 lists, it may bid on 10 of 72" in words


@pytest.mark.parametrize("top_k", [(10,), (5, 50, 200)])
def test_the_table_has_the_recalls_that_were_measured(top_k: tuple[int, ...]) -> None:
    words = printed(metrics_table(metrics(20, top_k), FOLDER), 160)
    heading = next(line for line in words.splitlines() if "ranker" in line)
    assert [word for word in heading.split() if word.startswith("R@")] == [
        *(f"R@{depth}" for depth in sorted({*top_k, 10, 100})),
        "R@100",  # warm
        "R@100,",  # its interval
    ]


@pytest.mark.parametrize(("width", "left_out"), [(80, ["R@100 warm", "coverage", "MRR"]), (120, [])])
def test_a_narrow_terminal_gets_fewer_figures_each_of_them_whole(width: int, left_out: list[str]) -> None:
    words = printed(metrics_table(metrics(20, (10, 50, 100)), FOLDER), width)
    table = words.partition("R@K:")[0]
    assert "…" not in words
    heading = " ".join(table.split())
    for name in ("R@10", "R@50", "R@100", "HR@10", "NDCG@10", "MRR", "coverage", "R@100 warm", "R@100, 95 %"):
        assert (f"{name} ┃" in heading) == (name not in left_out)
    assert ("Too narrow for" in table) == bool(left_out)


@pytest.mark.parametrize("width", [80, 110, 200])
def test_a_list_fits_the_terminal_and_cuts_neither_ids_nor_numbers(width: int) -> None:
    notices, companies = (
        printed(notices_table(COMPANY, [NOTICE], AS_OF, SEOUL), width),
        printed(companies_table(NOTICE, [COMPANY], AS_OF, SEOUL), width),
    )
    for whole in ("20250600343-000", "13,852,464,000 KRW", "2025-07-14 10:00", "0.457"):
        assert whole in notices
    for whole in ("0843127402", "12,345", "none yet", "0.308"):
        assert whole in companies
    assert "…" not in notices + companies


def test_where_one_office_buys_for_another_both_are_named_since_reasons_speak_of_the_other() -> None:
    notice = NOTICE | {"unit": "경기도 성남시"}
    for table in (companies_table(notice, [COMPANY], AS_OF, SEOUL), notices_table(COMPANY, [notice], AS_OF, SEOUL)):
        assert "조달청 경기지방조달청, for 경기도 성남시" in printed(table, 200)


def test_a_list_says_when_what_it_counts_was_known_and_by_whose_clock_its_times_are() -> None:
    companies, notices = (
        printed(companies_table(NOTICE, [COMPANY], AS_OF, SEOUL), 200),
        printed(notices_table(COMPANY, [NOTICE], AS_OF, SEOUL), 200),
    )
    assert "closes 2025-07-14 10:00, bids known as of 2025-06-30 17:32 (Asia/Seoul)\n" in companies
    assert "\n  12,345 bids known as of 2025-06-30 17:32 (Asia/Seoul)\n" in notices
    of_a_newcomer = printed(notices_table(COMPANY | {"bids": 1}, [NOTICE], AS_OF, SEOUL), 200)
    assert "\n  1 bid known as of 2025-06-30 17:32 (Asia/Seoul)\n" in of_a_newcomer


def test_a_notice_of_which_nothing_is_known_has_a_row_too() -> None:
    bare = NOTICE | dict.fromkeys(("title", "buyer", "place", "value", "currency", "closes_at"))
    assert "value unknown" in printed(notices_table(None, [bare], AS_OF, SEOUL), 120)
    assert "without title" in printed(companies_table(bare, [], AS_OF, SEOUL), 120)


def test_brackets_of_a_title_or_a_name_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Rich takes what stands in them for a style, and for an error where it begins with a stroke."""
    title, name = "[e-나라도움] 가설건축물[/사무실] :memo: 임차", "[blue]진성(주)"
    emit(
        Result(text=companies_table(NOTICE | {"title": title}, [COMPANY | {"name": name}], AS_OF, SEOUL)), as_json=False
    )
    printed = capsys.readouterr().out
    assert title in printed
    assert name in printed


def test_a_terminal_that_lacks_a_letter_gets_its_number_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    korean = io.TextIOWrapper(io.BytesIO(), encoding="euc_kr")
    monkeypatch.setattr("sys.stdout", korean)
    emit(Result(text=companies_table(NOTICE | {"title": "도로 – 포장"}, [], AS_OF, SEOUL)), as_json=False)
    assert "도로 \\u2013 포장" in korean.buffer.getvalue().decode("euc_kr")  # type: ignore[attr-defined]
