"""The pages as they are read: by a screen reader, on a phone, on paper, by whoever took a wrong turn."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from bidrec.explore.lists import LISTED
from bidrec.publishing.recommend import Published
from tests.browser import browser, needs_chromium
from tests.explore.served import get, served
from tests.outline import Outline
from tests.publishing.versions import publish

COMPANIES = [f"{number:010}" for number in range(8)]
UNBROKEN = "도로포장공사" * 30
PATHS = [
    "/",
    f"/?q={quote('도로')}",
    "/?q=nowhere",
    f"/notice/{quote('도로 포장')}",
    "/notice/closed",
    f"/company/{COMPANIES[0]}",
    f"/company/{COMPANIES[0]}?open=1",
    "/notice/nothing",
    "/nothing/at/all",
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    publish(home, COMPANIES, ["도로 포장", UNBROKEN, "closed"], closed=["closed"])
    return home


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with served(home) as url:
        yield url


def page(url: str) -> str:
    return get(url)[2].decode()


def rows(text: str) -> list[list[tuple[str, str]]]:
    """Of each row of a page's tables the cells: (tag with its attributes, words)."""
    return [
        [(cell, re.sub("<[^>]+>", "", words)) for cell, words in re.findall(r"<(t[hd] [^>]*)>(.*?)</t[hd]>", row)]
        for row in re.findall("<tr>(.*?)</tr>", text, re.DOTALL)
    ]


def test_every_page_names_its_language_has_one_first_heading_and_is_nested_well(address: str) -> None:
    for path in PATHS:
        outline = Outline(page(address + path))
        assert outline.open == [], path
        tags = [tag for tag, _ in outline.tags]
        assert ("html", {"lang": "en"}) in outline.tags
        assert tags.count("h1") == tags.count("main") == 1
        ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
        assert len(ids) == len(set(ids))


def test_no_two_pages_have_the_same_title_and_that_of_a_list_says_whose_it_is(address: str) -> None:
    titles = [
        re.findall("<title>(.*)</title>", page(address + path))[0]
        for path in PATHS
        if "nothing" not in path and "open" not in path
    ]
    assert len(set(titles)) == len(titles)
    assert "title of 도로 포장, notice 도로 포장, bidrec" in titles
    assert f"name of {COMPANIES[0]}, company {COMPANIES[0]}, bidrec" in titles


def test_every_field_of_a_form_has_a_label_that_is_no_riddle_alone(address: str) -> None:
    for path in PATHS:
        text = page(address + path)
        labels = dict(re.findall('<label for="([^"]*)">(.*?)</label>', text))
        fields = [attributes for tag, attributes in Outline(text).tags if tag in ("input", "select")]
        assert {field["id"] for field in fields} == set(labels)
        assert all(len(words) > 3 for words in labels.values())


def test_every_cell_has_a_heading_above_it_one_beside_it_and_on_a_phone_its_columns_name(address: str) -> None:
    tables = 0
    for path in PATHS:
        headings: list[str] = []
        for row in rows(page(address + path)):
            if all(cell.startswith("th") for cell, _ in row):
                assert all('scope="col"' in cell for cell, _ in row)
                headings, tables = [words.replace("(UTC)", " (UTC)") for _, words in row], tables + 1
                continue
            assert ['scope="row"' in cell for cell, _ in row].count(True) == 1
            named = [re.findall('data-label="([^"]*)"', cell) for cell, _ in row]
            assert [label or [heading] for label, heading in zip(named, headings, strict=True)] == [
                [one] for one in headings
            ]
    assert tables == 6


def test_figures_stand_at_the_right_and_so_do_their_headings(address: str) -> None:
    for path in PATHS:
        text = page(address + path)
        for heading in re.findall('<th scope="col"[^>]*>[^<]*', text):
            assert ("number" in heading) == heading.endswith((">Rank", ">Value", ">Bids", ">Bids known", ">Score"))


def test_links_with_the_same_words_lead_to_the_same_place(address: str) -> None:
    for path in PATHS:
        led: dict[str, str] = {}
        for leads, words in re.findall('<a [^>]*href="([^"]*)">(.*?)</a>', page(address + path)):
            assert led.setdefault(words, leads) == leads
            assert len(re.sub("<[^>]+>", "", words)) > 3


def test_a_narrowed_list_says_by_what_and_of_how_many(address: str) -> None:
    company = f"{address}/company/{COMPANIES[0]}"
    whole = Outline(page(company)).words
    assert "2 open notices, as of" in whole
    assert "Filtered" not in whole
    assert (
        "Filtered" not in Outline(page(f"{company}?region=&least=&most={quote('3억')}")).words
    )  # which narrows nothing
    narrow = Outline(page(f"{company}?region={quote('경기도')}&least=300,000,000&most=1e9&open=1")).words
    assert "0 of 2 open notices, as of" in narrow
    assert "Filtered: region 경기도; value from 300,000,000; value up to 1,000,000,000; open now." in narrow
    assert "The filters leave nothing of the list." in narrow


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/notice/" + quote("도로 포장"), "No known company may bid"),
        (f"/company/{COMPANIES[0]}", "No open notice is one"),
    ],
)
def test_a_list_that_is_empty_of_itself_blames_no_filter(
    address: str, monkeypatch: pytest.MonkeyPatch, path: str, said: str
) -> None:
    monkeypatch.setattr(Published, "_listed", lambda *_: [])  # limits that no company, or no notice, satisfies
    words = Outline(page(address + path)).words
    assert said in words
    assert "ilter" not in words


def test_where_no_notice_is_open_a_company_still_has_its_page(tmp_path: Path) -> None:
    publish(tmp_path, COMPANIES, ["closed"], closed=["closed"])
    with served(tmp_path) as address:
        status, _, text = get(f"{address}/company/{COMPANIES[0]}")
        assert get(f"{address}/company/nobody")[0] == 404
    assert status == 200
    assert "0 open notices, as of" in text.decode()


def test_a_list_that_is_cut_off_says_so(tmp_path: Path) -> None:
    publish(tmp_path, [f"{number:010}" for number in range(LISTED + 1)], ["closed"], closed=["closed"])
    with served(tmp_path) as address:
        assert "the first 1,000 companies, as of" in page(f"{address}/notice/closed")
        narrow = page(f"{address}/notice/closed?region=nowhere")
    assert "0 of the first 1,000 companies, as of" in narrow


def test_a_wrong_turn_ends_on_a_page_with_a_way_on(address: str) -> None:
    for path in ("/notice/0000", "/company/12-34", "/nothing/at/all"):
        status, headers, text = get(address + path)
        assert (status, headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert b"<h1>That is not here</h1>" in text
        assert b'href="/"' in text
    assert '<a href="/?q=12-34">Search for 12-34</a>' in page(f"{address}/company/12-34")


def test_a_damaged_file_is_told_with_its_hint_and_not_as_something_unknown(tmp_path: Path) -> None:
    folder = tmp_path / "published" / "current"
    publish(tmp_path, COMPANIES)
    (folder / "notices.parquet").write_bytes(b"spoilt")
    with served(tmp_path) as address:
        status, _, text = get(f"{address}/notice/road")
    assert status == 503
    assert "That cannot be shown now" in text.decode()
    assert "damaged" in text.decode()
    assert "hint" in text.decode()


@needs_chromium
@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_no_page_and_on_a_phone_no_table_is_wider_than_the_screen(address: str, width: int, tmp_path: Path) -> None:
    with browser(tmp_path) as tab:
        for path in PATHS:
            tab.open(address + path, width=width)
            assert tab.run("document.documentElement.scrollWidth") == width, path
            beyond = "[...document.querySelectorAll('.wide')].filter(one => one.scrollWidth > one.clientWidth)"
            assert width > 768 or tab.run(f"{beyond}.length") == 0, path
