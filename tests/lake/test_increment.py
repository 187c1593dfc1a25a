"""Any history of a source, ingested state by state, leaves its last state's rows, and never knew them too early."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.config import Config, Contract
from bidrec.lake.ingest import ingest
from bidrec.storage.sums import sha256
from tests.tables import DAY, NOW, bid, company, lake, notice, write_source

State = dict[str, dict[tuple[Any, ...], dict[str, Any]]]
"""Table -> key -> row."""

TIMES = st.sampled_from([NOW - 100 * DAY, NOW - 50 * DAY, NOW + 0.5 * DAY, NOW + 1.5 * DAY])


@st.composite
def histories(draw) -> list[State]:
    """Two or three states. Rows come, change and go, but a notice stays: nobody bids on one that is not there."""
    states: list[State] = []
    for _ in range(draw(st.integers(2, 3))):
        state: State = {name: dict(states[-1][name]) if states else {} for name in ("notice", "company", "bid")}
        for number in draw(st.sets(st.integers(0, 2), min_size=not states)):
            changes: dict[str, Any] = {"title": draw(st.sampled_from(["Road", "Bridge", None]))}
            changes["withdrawn_at"] = draw(st.sampled_from([None, None, NOW]))
            state["notice"][(number,)] = notice(
                number, published_at=NOW - (101 + number) * DAY, closes_at=None, opened_at=None, **changes
            )
        for number in draw(st.sets(st.integers(0, 1), min_size=not states)):
            state["company"] = {key: row for key, row in state["company"].items() if key[0] != number}
            for known_at in draw(st.sets(TIMES, min_size=1, max_size=2)):
                region = draw(st.sampled_from(["North", "South"]))
                state["company"][(number, known_at)] = company(number, known_at=known_at, region=region)
        for of, by in draw(st.sets(st.tuples(st.sampled_from([key for (key,) in state["notice"]]), st.integers(0, 1)))):
            row = bid(of, by, event_at=NOW - 101 * DAY, known_at=draw(TIMES), amount=draw(st.sampled_from([1.0, 2.0])))
            state["bid"][(of, by)] = row
        if states and state["bid"] and draw(st.booleans()):
            state["bid"].pop(draw(st.sampled_from(sorted(state["bid"]))))
        if not state["bid"]:
            of = next(iter(state["notice"]))[0]
            state["bid"][(of, 0)] = bid(of, 0, event_at=NOW - 101 * DAY, known_at=NOW - 100 * DAY)
        states.append(state)
    return states


def ingest_state(home: Path, state: State, now: datetime) -> dict[str, Any]:
    rows = {name: list(table.values()) for name, table in state.items()}
    for table in rows.values():  # every column is there in every state
        table[0].setdefault("withdrawn_at", None)
    source = write_source(home / "source", **rows)
    return ingest(Config(home=str(home), source=source, contract=Contract(max_bad_share=1.0)), now=now)


def newest(home: Path, now: datetime) -> dict[str, dict[tuple[Any, ...], tuple[Any, ...]]]:
    """Of each table, key -> the newest row's facts, without known_at."""
    facts = "* EXCLUDE (known_at, part)"
    companies = (
        f"WHERE known_at <= '{now}' QUALIFY row_number() OVER (PARTITION BY company_id ORDER BY known_at DESC) = 1"
    )
    return {
        "notice": {row[:1]: row for row in lake(home, "lake_notice_now", facts)},
        "bid": {row[:2]: row for row in lake(home, "lake_bid_now", facts)},
        "company": {row[:1]: row for row in lake(home, "lake_company_stood", facts, companies)},
    }


@settings(max_examples=8, deadline=None)
@given(histories())
def test_ingesting_every_state_leaves_the_newest_rows_of_ingesting_the_last_at_once(tmp_path_factory, states):
    steps, once = tmp_path_factory.mktemp("steps"), tmp_path_factory.mktemp("once")
    sums: dict[str, str] = {}
    for number, state in enumerate(states):
        now = NOW + number * DAY
        manifest = ingest_state(steps, state, now)
        files = {file: sha256(steps / "lake" / file) for file in manifest["files"]}
        assert sums.items() <= files.items()  # no part is ever changed
        sums = files
    written = (steps / "lake" / "manifest.json").read_bytes()
    ingest_state(steps, states[-1], now + timedelta(hours=1))  # a day run again
    assert (steps / "lake" / "manifest.json").read_bytes() == written
    ingest_state(once, states[-1], now)

    at_once, step_by_step = newest(once, now), newest(steps, now + timedelta(hours=1))
    for name, rows in at_once.items():
        # What the source no longer gives stays as it was last seen.
        assert {key: row for key, row in step_by_step[name].items() if key in rows} == rows

    read_at = {entry["ingest"]: datetime.fromisoformat(entry["read_at"]) for entry in manifest["ingests"]}
    for name in ("notice", "company", "bid"):
        for part, known_at in lake(steps, f"lake_{name}", "part, known_at"):
            assert part == 1 or known_at > read_at[max(number for number in read_at if number < part)]
