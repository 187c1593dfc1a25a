"""The page over what was published: a real server, its answers, and a real browser on it."""

import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, quote_plus

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uvicorn
from click.testing import CliRunner

from bidrec.config import Config
from bidrec.explore.app import HEADERS, app, plain
from bidrec.explore.lists import FOUND, LONGEST, Filters, companies_of
from bidrec.publishing.recommend import Published
from jobs.cli import main
from jobs.output import SCHEMA_VERSION
from tests.browser import AXE, browser, needs_axe, needs_chromium


@contextmanager
def serving(home: Path) -> Iterator[str]:
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app(home, ["market.example"]), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def address(config: Config) -> Iterator[str]:
    with serving(config.home_path) as address:
        yield address


@pytest.fixture(scope="module")
def notice(config: Config) -> str:
    return Published(config.home_path).an_open_notice() or ""


def get(url: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers)) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def shown(rows: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(rows.decode("utf-8-sig"))))


def test_a_search_finds_by_number_and_by_words_in_any_order(config: Config, address: str, notice: str) -> None:
    asked, _ = Published(config.home_path).companies_for(notice, 1)
    words = asked["title"].split()
    for question in (notice, " ".join(reversed(words))):
        status, _, page = get(f"{address}/?q={quote(question)}")
        assert status == 200
        assert f'href="/notice/{notice}"' in page.decode()
    assert notice not in get(f"{address}/?q={quote(words[0] + ' nowhere-at-all')}")[2].decode()


def test_a_search_that_finds_more_than_it_shows_says_so(address: str) -> None:
    page = get(f"{address}/?q={quote('공사')}")[2].decode()
    assert page.count('href="/notice/') == FOUND
    assert f"Notices: the newest {FOUND}" in page
    assert "Notices: the newest" not in get(f"{address}/?q=nowhere-at-all")[2].decode()


def test_a_list_is_the_published_one_and_its_filters_narrow_it(config: Config, address: str, notice: str) -> None:
    published = Published(config.home_path)
    _, companies = published.companies_for(notice, 1000)
    listed = shown(get(f"{address}/notice/{notice}?download=csv")[2])
    assert [row["company_id"] for row in listed] == [row["company_id"] for row in companies]
    region = companies[0]["region"]
    of_region = shown(get(f"{address}/notice/{notice}?region={quote(region)}&download=csv")[2])
    assert [row["company_id"] for row in of_region] == [r["company_id"] for r in companies if r["region"] == region]
    company = companies[0]["company_id"]
    _, notices = published.notices_for(company, 1000)
    values = sorted(row["value"] for row in notices if row["value"] is not None)
    middle = values[len(values) // 2]
    cheap = shown(get(f"{address}/company/{company}?most={middle}&download=csv")[2])
    assert [row["notice_id"] for row in cheap] == [
        r["notice_id"] for r in notices if r["value"] is None or r["value"] <= middle
    ]
    # The market's notices closed long ago by today's clock.
    assert shown(get(f"{address}/company/{company}?open=1&download=csv")[2]) == []
    assert "Open now goes by today's clock" in get(f"{address}/company/{company}?open=1")[2].decode()
    licence = companies_of(config.home_path, notice, Filters()).licences[0]
    of_licence = shown(get(f"{address}/notice/{notice}?licence={quote(licence)}&download=csv")[2])
    holders = companies_of(config.home_path, notice, Filters(licence=licence)).rows
    assert 0 < len(of_licence) == len(holders) <= len(companies)
    assert all(licence in row["licences"] for row in holders)


def test_pages_show_the_clock_of_the_source_and_downloads_say_that_theirs_is_utc(
    config: Config, address: str, notice: str
) -> None:
    published = Published(config.home_path)
    asked, companies = published.companies_for(notice, 1)
    in_seoul = f"{asked['closes_at'] + timedelta(hours=9):%Y-%m-%d %H:%M}"
    assert f"closes {in_seoul} (Asia/Seoul)" in get(f"{address}/notice/{notice}")[2].decode()
    company = f"{address}/company/{companies[0]['company_id']}"
    for page in (f"{address}/?q={notice}", company):
        words = get(page)[2].decode()
        assert "Closes<br>(Asia/Seoul)" in words
        assert in_seoul in words
    row = next(row for row in shown(get(f"{company}?download=csv")[2]) if row["notice_id"] == notice)
    assert row["closes_at"] == f"{asked['closes_at']:%Y-%m-%d %H:%M:%S.%f}Z"


def test_the_parquet_download_holds_what_the_csv_holds(address: str, notice: str) -> None:
    content = get(f"{address}/notice/{notice}?download=parquet")[2]
    rows = pq.read_table(io.BytesIO(content)).to_pylist()
    assert [row["name"] for row in rows] == [
        row["name"] for row in shown(get(f"{address}/notice/{notice}?download=csv")[2])
    ]


def test_a_home_that_is_damaged_cannot_be_shown_now_which_is_not_that_a_notice_is_not_there(
    copy: Config, notice: str
) -> None:
    for file in (copy.home_path / "features" / "company_profile").glob("*.parquet"):
        file.unlink()
    with serving(copy.home_path) as address:
        (status, _, page), (missing, _, _) = (get(f"{address}/notice/{one}") for one in (notice, "nothing"))
    assert (status, missing) == (503, 404)
    assert "is damaged" in page.decode()
    assert "restore it from a copy" in page.decode()


def test_only_get_is_answered_only_for_its_own_name_and_with_headers_that_close_it(address: str, notice: str) -> None:
    for path in ("/", f"/notice/{notice}", "/style.css", "/notice/nothing", "/nothing/at/all"):
        status, headers, page = get(address + path)
        lower = {name.lower(): value for name, value in headers.items()}
        assert {name: lower.get(name.lower()) for name in HEADERS} == HEADERS, path
        assert status == (404 if "nothing" in path else 200)
        assert b"Traceback" not in page
    for method in ("POST", "PUT", "DELETE"):
        assert get(f"{address}/", method)[0] == 405


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("market.example", 200),
        ("Market.Example:8000", 200),
        ("localhost:1", 200),
        ("10.1.2.3:8000", 200),
        ("[::1]:8000", 200),
        ("evil.example", 400),
        ("market.example.evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("market.example@evil.example", 400),
        ("evil.example#@market.example", 400),
        ("[", 400),
        ("", 400),
    ],
)
def test_it_answers_to_an_address_and_to_its_names_and_to_no_other(address: str, host: str, status: int) -> None:
    """A page elsewhere can have its own name lead here, and would then read all: it cannot do so with an address."""
    answered, headers, page = get(f"{address}/", Host=host)
    assert answered == status
    assert {name.lower() for name in HEADERS} <= {name.lower() for name in headers}
    assert (b"</html>" if status == 200 else b"--name") in page


def test_what_is_asked_costs_no_more_than_a_search_box_holds(address: str) -> None:
    """A page elsewhere could not read the answer, but have the browser ask: 20,000 words took all cores for minutes."""
    asked = "a b " * 10_000 + "nowhere"
    (status, _, page), (_, _, short) = (get(f"{address}/?q={quote_plus(words)}") for words in (asked, asked[:LONGEST]))
    assert status == 200
    assert f'maxlength="{LONGEST}"' in page.decode()
    assert page.decode().replace(asked, "") == short.decode().replace(asked[:LONGEST], "")


@pytest.mark.parametrize("hostile", ["'; DROP TABLE notices; --", "<script>alert(1)</script>", "../../etc/passwd", "%"])
def test_what_is_asked_is_never_more_than_a_value(address: str, hostile: str) -> None:
    for path in (f"/?q={quote(hostile)}", f"/notice/{quote(hostile, safe='')}", f"/company/{quote(hostile, safe='')}"):
        status, _, page = get(address + path)
        assert status in (200, 404)
        assert b"<script>" not in page


def test_no_cell_of_a_downloaded_csv_is_a_formula() -> None:
    names = ["=1+1", "+82", "-x", "@x", "＝1+1", "plain", "", None, "길동건설"]
    given = pa.table({"name": names, "score": [float(row) for row in range(9)]})
    assert plain(given)["name"].to_pylist() == ["'=1+1", "'+82", "'-x", "'@x", "'＝1+1", "plain", "", None, "길동건설"]
    assert plain(given)["score"].equals(given["score"])


@needs_chromium
def test_a_browser_searches_narrows_and_complains_of_nothing(config, address, notice, tmp_path) -> None:
    companies = Published(config.home_path).companies_for(notice, 1000)[1]
    with browser(tmp_path / "profile") as page:
        page.open(f"{address}/")
        page.run(f"document.querySelector('#q').value = {json.dumps(notice)}")
        page.loaded = False
        page.run("document.querySelector('header form').requestSubmit()")
        wait(page)
        assert page.run("document.querySelector('main td a').textContent") == notice
        page.loaded = False
        page.run("document.querySelector('main td a').click()")
        wait(page)
        title = page.run("document.querySelector('h1').textContent")
        assert title == Published(config.home_path).companies_for(notice, 1)[0]["title"]
        assert page.run("document.querySelectorAll('tbody tr').length") == len(companies)
        assert page.run("[...document.querySelectorAll('input, select')].every(one => one.labels.length)")
        page.picture(tmp_path / "list.png")
        page.open(f"{address}/notice/{notice}", width=400, dark=True)
        assert page.run("document.documentElement.scrollWidth <= innerWidth")
        page.picture(tmp_path / "phone.png")
        assert page.problems == []
        assert all(url.startswith((address, "data:")) for url in page.requested)


@needs_chromium
@pytest.mark.parametrize(("amount", "taken"), [("300,000,000", True), ("3e8", True), ("3억", False)])
def test_an_amount_that_is_no_number_is_refused_and_not_passed_over(
    config, address, notice, tmp_path, amount, taken
) -> None:
    company = Published(config.home_path).companies_for(notice, 1)[1][0]["company_id"]
    with browser(tmp_path / "profile") as page:
        page.open(f"{address}/company/{company}")
        page.run(f"document.querySelector('#least').value = {json.dumps(amount)}")
        assert page.run("document.querySelector('#least').checkValidity()") == taken


@needs_chromium
def test_on_paper_a_list_is_whole_and_nothing_else_is(config, address, notice, tmp_path) -> None:
    company = Published(config.home_path).companies_for(notice, 1)[1][0]["company_id"]
    with browser(tmp_path / "profile") as page:
        for path in (f"/notice/{notice}", f"/company/{company}", "/"):
            page.open(address + path, width=718)  # A4 without its margins
            page.ask("Emulation.setEmulatedMedia", media="print")
            assert page.run("document.querySelector('table').getBoundingClientRect().right") <= 718, path
            assert page.run("document.querySelector('header').offsetHeight") == 0


@needs_chromium
@needs_axe
@pytest.mark.parametrize("path", ["/", "/notice/NOTICE", "/company/COMPANY", "/notice/nothing"])
def test_no_page_breaks_a_rule_of_accessibility(config, address, notice, path, tmp_path) -> None:
    company = Published(config.home_path).companies_for(notice, 1)[1][0]["company_id"]
    with browser(tmp_path / "profile") as page:
        page.open(address + path.replace("NOTICE", notice).replace("COMPANY", company))
        page.run(AXE.read_text(encoding="utf-8"))
        broken = page.run("axe.run().then(found => found.violations.map(one => one.id + ': ' + one.nodes[0].html))")
        assert broken == []


def wait(page) -> None:
    while not page.loaded:
        page._next()


def test_the_command_listens_on_this_machine_and_ends_well_with_ctrl_c(config: Config) -> None:
    environment = {**os.environ, "BIDREC_HOME": config.home}
    options = ["--port", "0", "--name", "Market.example", "--json"]
    command = [sys.executable, "-c", "from jobs.cli import main; main()", "explore", *options]
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            url = next(json.loads(line)["url"] for line in process.stderr if '"listening"' in line)
            assert url.startswith("http://127.0.0.1:")
            assert get(url)[0] == get(url, Host="market.example")[0] == get(url, Host=socket.gethostname())[0] == 200
            assert get(url, Host="evil.example")[0] == 400  # a page elsewhere whose name leads here reads nothing
        finally:  # else a failure would wait for the server without an end
            process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(printed) == {"schema_version": SCHEMA_VERSION, "command": "explore", "url": url}


def test_where_it_cannot_listen_it_says_which_option_to_change(config: Config) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    with taken:
        port = str(taken.getsockname()[1])
        for options, other in ((["--port", port], "--port"), (["--host", "nowhere.invalid"], "--host")):
            refused = CliRunner().invoke(main, ["explore", *options], env={"BIDREC_HOME": config.home})
            assert refused.exit_code == 69
            assert f"give another {other}" in refused.stderr
