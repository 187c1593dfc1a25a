"""Commands, each session of them in a fork of one process that has imported their program: Feast's takes seconds."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

Outcome = tuple[int, str, str, str]
"""Exit code, stdout, stderr, repr of what was raised."""
Session = Callable[[Path, Mapping[str, str], Sequence[Sequence[str]]], list[Outcome]]
"""Called with a folder to work in, an environment, and the words of each command; they run one after the other."""

SCRIPT = """
import importlib, json, os, sys
from click.testing import CliRunner

module, name = sys.argv[1].split(":")
program = getattr(importlib.import_module(module), name)

def outcomes(folder, environment, commands):
    os.environ.clear()
    os.environ.update(environment)
    for words in commands:
        os.chdir(folder)
        done = CliRunner().invoke(program, words)
        yield done.exit_code, done.stdout, done.stderr, repr(done.exception)

for line in sys.stdin:
    if not os.fork():
        print(json.dumps(list(outcomes(*json.loads(line)))), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0
"""


@contextmanager
def sessions(program: str) -> Iterator[Session]:
    """program: a click command, as `module:name`."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr

        def session(folder: Path, environment: Mapping[str, str], commands: Sequence[Sequence[str]]) -> list[Outcome]:
            print(json.dumps([str(folder), dict(environment), commands]), file=process.stdin, flush=True)
            answer = process.stdout.readline()
            assert answer, process.stderr.read()
            return [tuple(outcome) for outcome in json.loads(answer)]

        yield session
        process.communicate()
