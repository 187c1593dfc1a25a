import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from jobs.cli import COMMANDS, main

HEAVY = ("torch", "torchrec", "feast", "duckdb", "pandas", "pyarrow", "numpy", "rich", "ibis")


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


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_the_common_options(name):
    command = main.get_command(click.Context(main), name)
    assert command.name == name
    assert command.get_short_help_str(limit=200)
    assert {"config_path", "as_json", "verbose"} <= {parameter.name for parameter in command.params}
    shown = CliRunner().invoke(main, [name, "--help"])
    assert shown.exit_code == 0
    assert f"Usage: main {name}" in shown.stdout


def test_loading_a_command_loads_nothing_heavy():
    """So that `bidrec train --help` and a mistyped option answer at once. One process loads them all: each alone would
    take seconds, most of them the same."""
    script = (
        "import importlib, sys\nfor module in sys.argv[1:]:\n    importlib.import_module(module)\n"
        "    print(module, *{'torch', 'torchrec', 'feast', 'pandas'} & set(sys.modules))"
    )
    modules = [target.split(":")[0] for target, _ in COMMANDS.values()]
    done = subprocess.run([sys.executable, "-c", script, *modules], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == modules


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
