import io
import json

import pytest
from structlog import DropEvent

from bidrec.operations import log, progress
from bidrec.operations.progress import Bar, Progress, Screen, bar, how_far


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands where it is set."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def told(processor, done, job="train"):
    return processor(None, "info", {"job": job, "event": "training", "done": done})


def is_told(processor, done, job="train"):
    try:
        return bool(told(processor, done, job))
    except DropEvent:
        return False


def test_rate_and_remaining_time_are_those_since_the_first_line(clock):
    processor = Progress(every_seconds=5)
    assert not is_told(processor, "20/100")
    clock[0] += 10
    event = told(processor, "40/100")
    assert event["per_second"] == (40 - 20) / 10
    assert event["minutes_left"] == (100 - 40) / 2 / 60
    clock[0] += 10
    own = {"event": "training", "job": "train", "step": "50/100", "minutes_left": 7.0}
    assert processor(None, "info", own) == own | {"minutes_left": 7.0}  # who works it out better is believed


def test_what_begins_anew_before_all_was_done_is_told_as_from_there(clock):
    processor = Progress(every_seconds=5)
    assert not is_told(processor, "80/100")
    clock[0] += 100
    assert not is_told(processor, "10/100")
    clock[0] += 10
    assert told(processor, "30/100")["per_second"] == (30 - 10) / 10


def test_what_comes_too_often_is_dropped_but_the_end_of_what_was_told_is_not(clock):
    processor = Progress(every_seconds=5)
    assert not is_told(processor, "1/9")
    clock[0] += 5
    assert is_told(processor, "2/9")
    assert not is_told(processor, "2/9", job="another")
    clock[0] += 4.9
    assert not is_told(processor, "3/9")
    assert is_told(processor, "9/9")
    assert not is_told(processor, "1/9")  # the next epoch begins anew
    assert not is_told(processor, "9/9")  # and is soon done


@pytest.mark.parametrize("again", ["9/9", "12/12"])
def test_what_is_soon_done_is_not_told_when_it_comes_again_later(clock, again):
    processor = Progress(every_seconds=5)
    assert not is_told(processor, "9/9")
    clock[0] += 60
    assert not is_told(processor, again)


@pytest.mark.parametrize("event", [{"event": "epoch"}, {"done": 3}, {"done": "all"}, {"step": 7}, {"done": "a/b"}])
def test_other_lines_are_no_progress(event):
    assert how_far(event) is None


def test_a_bar_fits_the_terminal_and_goes_when_all_is_done(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    event = {"event": "training", "done": "50/100", "per_second": 4.0, "minutes_left": 1.5, "loss": 3.2, "job": "train"}
    assert str(bar(event)) == ("training " + "█" * 12 + "░" * 12 + " 50/100  4.0/s  0:01:30 left  loss 3.2")[:59]
    assert bar({**event, "done": "100/100"}) == ""
    assert " 50 %  4.0 %/s  0:01:30" in bar({**event, "unit": "%", "event": "a"})


def test_a_line_takes_the_place_of_the_bar():
    screen = Screen(io.StringIO())
    for text in ("a line", Bar("half"), Bar("more"), "another line", Bar("half"), Bar("")):
        screen.info(text)
    erase = "\r\x1b[2K"
    assert screen.file.getvalue() == f"a line\nhalf{erase}more{erase}another line\nhalf{erase}"


def test_without_a_terminal_progress_is_a_line_of_json_now_and_then(capsys, clock):
    log.configure(json_lines=True)
    for done in range(1, 11):
        log.get("simulate").info("simulating", done=f"{done}/10")
        clock[0] += 2
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["done"] for line in lines] == ["4/10", "7/10", "10/10"]
    assert lines[0]["per_second"] == 0.5


def test_on_a_terminal_it_is_a_bar(capsys, clock):
    log.configure(json_lines=False)
    log.get("simulate").info("simulating", done="2/10")
    clock[0] += 1
    log.get("simulate").info("simulating", done="3/10")
    log.get("simulate").info("written")
    shown = capsys.readouterr().err
    assert shown.startswith("simulating ███████░")
    assert "written" in shown.rpartition("\x1b[2K")[2]
