import os
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from jobs.cli import COMMANDS, main

HEAVY = ("torch", "torchrec", "feast", "duckdb", "pandas", "pyarrow", "numpy", "rich", "ibis")
README = Path(__file__).parents[1] / "README.md"
BIDREC = Path(sys.executable).parent / "bidrec"
QUICK_SECONDS = 0.5


def test_help_names_every_command_with_one_line():
    help_text = CliRunner().invoke(main, ["--help"]).stdout
    for name, (_, summary) in COMMANDS.items():
        assert f"  {name} " in help_text
        assert summary in help_text
        assert len(summary) < 100


def test_the_module_is_the_command_too_for_torchrun():
    done = subprocess.run([sys.executable, "-m", "jobs.cli", "--help"], capture_output=True, text=True, check=True)
    assert done.stdout == CliRunner().invoke(main, ["--help"], prog_name="bidrec").stdout


def test_the_training_is_a_module_too_which_torchrun_starts():
    done = subprocess.run([sys.executable, "-m", "jobs.train", "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: bidrec train [OPTIONS]")


def test_help_imports_no_command_and_nothing_heavy():
    script = (
        "import sys\nfrom jobs.cli import main\nmain(['--help'], standalone_mode=False)\n"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert not loaded & {target.split(":")[0] for target, _ in COMMANDS.values()}
    assert not loaded & set(HEAVY)


def test_help_answers_in_under_half_a_second():
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    times = []
    for _ in range(3):
        started = time.monotonic()
        subprocess.run([BIDREC, "--help"], env=environment, check=True, stdout=subprocess.DEVNULL)
        times.append(time.monotonic() - started)
    assert min(times) < QUICK_SECONDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_the_common_options(name):
    command = main.get_command(click.Context(main), name)
    assert command.name == name
    assert command.get_short_help_str(limit=200)
    assert {"config_path", "as_json", "verbose"} <= {parameter.name for parameter in command.params}
    shown = CliRunner().invoke(main, [name, "--help"])
    assert shown.exit_code == 0
    assert f"Usage: main {name}" in shown.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_loading_a_command_loads_nothing_heavy(name):
    """So that `bidrec train --help` and a mistyped option answer at once."""
    module = COMMANDS[name][0].split(":")[0]
    script = f"import sys, {module}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"torch", "torchrec", "feast", "pandas"}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_readme_names_every_command(name):
    text = README.read_text(encoding="utf-8") if README.is_file() else ""
    if "bidrec demo" not in text:
        pytest.skip("the README has no table of commands")
    assert f"bidrec {name}" in text


def test_a_mistyped_command_is_a_usage_error_that_names_the_nearest():
    done = CliRunner().invoke(main, ["docter"])
    assert done.exit_code == 2
    assert "did you mean 'doctor'?" in done.stderr
    assert done.stdout == ""


def test_an_unknown_option_is_a_usage_error():
    done = CliRunner().invoke(main, ["doctor", "--colour"])
    assert done.exit_code == 2
    assert "--colour" in done.stderr
    assert done.stdout == ""
