"""Give the commands spoilt sources, configurations and homes, and see how they end.

    python -m benchmarks.fuzz --cases 2000 [--seed 7] [--kinds source,configuration,home] [--json]
    python -m benchmarks.fuzz --seed 7 --only 123       that case again, with what it printed

Cases (fuzz_cases.py) are drawn by hypothesis from the seed: the same seed draws the same cases. Each ends in success
or in a documented exit code with one clear line; none in a traceback, a bug (70) or a hang, with a row lost, or with
another answer than the sound home gives.
`failures` lists those that do not. The cases run in one forked process; where one of them ends that, the next goes on.
"""

import argparse
import json
import os
import sys
import tempfile
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from bidrec.operations import log

KINDS = ("source", "configuration", "home")
PROCESS_EVERY = 50
"""One case of so many runs in a process of its own, as the console script does."""
WORKERS = 0.03
"""Share of the home's cases whose command takes seconds."""


@dataclass
class Found:
    """One case and how it ended, as a line of JSON that the parent reads."""

    number: int
    kind: str
    case: str
    code: int
    fault: str | None

    def write(self, out: Any) -> None:
        out.write(json.dumps(self.__dict__) + "\n")
        out.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--kinds", default=",".join(KINDS), help="of " + ", ".join(KINDS))
    parser.add_argument("--only", type=int, help="the number of one case")
    parser.add_argument("--home", type=Path, help="a published home, its tables in source/; otherwise one is made")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    log.configure()  # what makes the home would tell it on stdout
    with tempfile.TemporaryDirectory(prefix="bidrec-fuzz-") as folder:
        found = fuzz(Path(folder), options.cases, options.seed, options.kinds.split(","), options.home, options.only)
    print(json.dumps(found) if options.json else _text(found))
    sys.exit(bool(found["failures"]))


def fuzz(
    folder: Path,
    cases: int,
    from_seed: int,
    kinds: list[str],
    home: Path | None = None,
    only: int | None = None,
    workers: float = WORKERS,
) -> dict[str, Any]:
    """Run the cases below `folder`; returns how many there were, by exit code and by kind, and the failures.

    home: a published one; None: it is made. only: the number of the one case that is run.
    """
    results = folder / "results.jsonl"
    results.touch()
    first, cases = (0, cases) if only is None else (only, only + 1)
    failures: list[dict[str, Any]] = []
    while first < cases:
        status = _fork(lambda first=first: _run_from(folder, range(first, cases), from_seed, kinds, home, workers))
        lines = [json.loads(line) for line in results.read_text().splitlines()]
        if status == 0:
            break
        if os.WIFEXITED(status):
            raise RuntimeError("the fuzzer itself failed")
        first = max((line["number"] for line in lines), default=first - 1) + 1
        failures.append({"number": first, "fault": f"the process ended by signal {os.WTERMSIG(status)}"})
        first += 1
    failures += [line for line in lines if line["fault"]]
    return {
        "cases": len(lines),
        "seed": from_seed,
        "by_exit_code": dict(sorted(Counter(str(line["code"]) for line in lines).items())),
        "by_kind": dict(Counter(line["kind"] for line in lines)),
        "failures": failures,
    }


def _run_from(
    folder: Path, numbers: range, from_seed: int, kinds: list[str], home: Path | None, workers: float
) -> None:
    """In the forked process: draw the cases, run them, and write down how each ended."""
    from benchmarks import fuzz_cases
    from benchmarks.fuzz_home import place
    from benchmarks.fuzz_run import try_case

    at = place(folder, home if "home" in kinds else folder)
    drawn = {
        "source": fuzz_cases.sources,
        "configuration": fuzz_cases.configurations,
        "home": fuzz_cases.homes(workers),
    }
    with (folder / "results.jsonl").open("a") as out:
        for number in numbers:
            kind = kinds[number % len(kinds)]
            case = draw(drawn[kind], from_seed, number)
            outcome = try_case(case, at, process=number % PROCESS_EVERY == 0)
            Found(number, kind, repr(case)[:2000], outcome.code, outcome.fault).write(out)
            if number % 100 == 99:
                print(f"{number + 1} cases", file=sys.stderr)


def draw(strategy: st.SearchStrategy[Any], from_seed: int, number: int) -> Any:
    """The case of that number: drawn independently of all others, so that it can be drawn again alone."""
    drawn: list[Any] = []

    @seed(from_seed * 1_000_003 + number)
    @settings(
        max_examples=2, phases=[Phase.generate], database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=strategy)
    def run(case: Any) -> None:
        drawn.append(case)  # the first is the simplest that there is, whatever the seed

    run()
    return drawn[-1]


def _fork(function: Any) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        code = 1
        try:
            function()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1]


def _text(found: dict[str, Any]) -> str:
    lines = [f"{found['cases']} cases, seed {found['seed']}: {len(found['failures'])} failures"]
    lines += [f"  exit {code:>3}: {number}" for code, number in found["by_exit_code"].items()]
    lines += [f"  {one['number']}: {one['fault']}\n      {one.get('case', '')}" for one in found["failures"]]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
