"""Commands and blocks that are told to stop, at a good moment and at a bad one."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from bidrec import errors
from bidrec.config import Config
from bidrec.operations import signals
from jobs.output import Result
from tests.jobs.test_options import call, said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_command_with_75(number):
    before = signal.getsignal(number)
    outcome = call(lambda config: os.kill(os.getpid(), number) or time.sleep(5))
    assert outcome.exit_code == 75
    assert said(outcome) == ["error: stopped by a signal", "hint: run the same command again"]
    assert signal.getsignal(number) is before


def test_a_signal_while_duckdb_computes_ends_the_command_with_75():
    script = """
        import sys, duckdb
        from jobs.options import command
        from jobs.output import SCHEMA_VERSION, Result
        @command
        def work(config):
            print("started", flush=True)
            duckdb.sql("SELECT sum(hash(a.range + b.range)) FROM range(1000000) a, range(1000000) b").fetchall()
            return Result()
        work()
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline() == "started\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 75
    assert "error: stopped by a signal" in err


class Finalised:
    """Raises where nobody can catch it, as an import in C drops what is raised in it."""

    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(100):
            pass


def test_a_signal_that_was_dropped_in_c_is_met_at_the_next_place(capfd):
    def body(config: Config) -> Result:
        Finalised()
        time.sleep(30)
        raise AssertionError("slept on")

    outcome = call(body)
    assert outcome.exit_code == 75
    assert said(outcome) == ["error: stopped by a signal", "hint: run the same command again"]
    assert "Traceback" not in capfd.readouterr().err
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_signal_that_was_dropped_as_the_work_ended_is_75_and_no_result_is_printed():
    def body(config: Config) -> Result:
        Finalised()
        return Result(text="done")

    outcome = call(body)
    assert (outcome.exit_code, outcome.stdout) == (75, "")


def test_who_cleans_up_after_a_signal_is_not_disturbed_by_it_again():
    cleaned = []

    def body(config: Config) -> Result:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        finally:
            time.sleep(0.5)
            cleaned.append(True)

    assert call(body).exit_code == 75
    assert cleaned == [True]


WORK = """
import atexit, os, signal, time
from bidrec.operations import signals
from jobs.options import command
from jobs.output import Result
def stop():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.1)
"""


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("with signals.starting():\n    stop()", 75),
        ("command(lambda config: exec('stop()') or Result())([])", 75),
        ("atexit.register(stop)\ncommand(lambda config: Result())([])", 0),
    ],
    ids=["before any command", "in a text that is executed", "when all is done and said"],
)
def test_a_process_ends_with_75_from_its_first_moment_and_with_its_own_code_in_its_last(script, code):
    done = subprocess.run([sys.executable, "-c", WORK + script], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert ("error: stopped by a signal" in done.stderr) == (code == 75)


@pytest.fixture
def command_line(tmp_path):
    """Run a command that does this, its streams redirected by the shell; something was printed before it."""

    def run(does, redirected=""):
        script = tmp_path / "command.py"
        script.write_text(
            f"{WORK}import sys\nfrom jobs import cli\nprint('begun')\natexit.register(print, 'taken down')\n"
            f"work = command(lambda config: {does} or Result())\ncli.COMMANDS['work'] = ('__main__:work', '')\n"
            "sys.argv[1:] = ['work']\ncli.main()\n"
        )
        shell = ["sh", "-c", f'exec "$0" "$1" {redirected}', sys.executable, str(script)]
        return subprocess.run(shell, capture_output=True, text=True, timeout=60)

    return run


def test_a_command_that_was_stopped_takes_no_library_down_and_loses_no_word(command_line):
    stopped, done = command_line("stop()"), command_line("None")
    assert (stopped.returncode, stopped.stdout) == (75, "begun\n")
    assert (done.returncode, done.stdout) == (0, "begun\ntaken down\n")


@pytest.mark.parametrize("redirected", [">&-", "2>&-", ">&- 2>&-"])
def test_a_command_that_is_stopped_ends_with_75_though_nobody_hears_it(command_line, redirected):
    assert command_line("stop()", redirected).returncode == 75


def test_a_second_signal_while_the_first_is_being_met_ends_the_process_at_once_with_75():
    script = """
        import time
        from jobs.options import command
        @command
        def work(config):
            try:
                print("started", flush=True)
                time.sleep(600)
            finally:
                print("cleaning", flush=True)
                time.sleep(600)
        work()
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stderr=subprocess.PIPE, text=True)
    for line in ("started\n", "cleaning\n"):
        assert process.stderr.readline() == line
        process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 75
    assert err == "error: stopped at once by a second signal\nhint: run the same command again\n"


def test_a_requested_stop_is_seen_at_a_safe_place_and_the_commands_own_words_are_kept():
    saved = []

    def body(config: Config) -> Result:
        with signals.stop_requested() as stop:
            assert not stop()
            os.kill(os.getpid(), signal.SIGTERM)
            saved.append(stop())
            raise errors.Interrupted("stopped at step 3 of 9", hint="run bidrec train again to resume")

    outcome = call(body)
    assert saved == [True]
    assert outcome.exit_code == 75
    assert said(outcome) == ["error: stopped at step 3 of 9", "hint: run bidrec train again to resume"]


def test_a_requested_stop_that_nobody_looked_at_ends_the_block_with_75():
    with pytest.raises(errors.Interrupted), signals.stop_requested():
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_second_signal_ends_the_block_at_once():
    def body(config: Config) -> Result:
        with signals.stop_requested():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            raise AssertionError("went on")

    assert call(body).exit_code == 75


def test_a_block_without_a_signal_ends_as_if_it_were_not_there():
    with signals.stop_requested() as stop:
        pass
    assert not stop()
