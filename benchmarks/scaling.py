"""What each way out of one machine costs beside staying on it, and how both grow: docs/scaling.md draws the lines.

    python -m benchmarks.scaling [--only pairs registry online training] [--pairs 10_000 30_000 100_000]
        [--rounds 1 30] [--keys 10_000 100_000] [--scale 0.01] [--json]

pairs     which version of a company each pair sees: resolve.py, and Feast's Spark store on this machine
registry  an apply and a materialize of one key, after so many before, with the registry in a file and in PostgreSQL
online    vectors of 64 written, and 1,000 of them read in one request, with SQLite and with Redis
training  an epoch of the default model by one process, and by torchrun with two, one thread each (no dropout)

CPU seconds are those of the process, of what it starts (Java) and of the server. Each is measured in a process of its
own. It starts its own servers (tests/postgres.py, tests/redis.py); what is not installed is left out and named.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from benchmarks.training_world import written
from bidrec.errors import DependencyDown
from bidrec.features.spark import require_spark
from bidrec.simulator import simulate
from tests import postgres, redis

STORES = Path(__file__).parents[1] / "examples" / "stores"
MODULE = "benchmarks.scaling_contenders"
Row = dict[str, Any]


def main() -> None:
    every = {"pairs": pairs, "registry": registry, "online": online, "training": training}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=every, default=list(every))
    parser.add_argument("--pairs", nargs="+", type=int, default=[10_000, 30_000, 100_000], help="about so many")
    parser.add_argument("--rounds", nargs="+", type=int, default=[1, 30])
    parser.add_argument("--keys", nargs="+", type=int, default=[10_000, 100_000])
    parser.add_argument("--scale", type=float, default=0.01, help="of training_world.py: 1 is 2 M notices")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {}
    for name in options.only:
        with tempfile.TemporaryDirectory(prefix="bidrec-scaling-") as folder:
            found[name] = list(every[name](Path(folder), options))
    print(json.dumps(found) if options.json else table(found))


def pairs(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    for size in options.pairs:
        home = folder / str(size)
        simulate(home / "source", notices=size * 6 // 100, companies=size * 8 // 100, bids=size * 112 // 100, seed=3)
        run("prepared", home, size)
        yield {"by": "resolve", **run("resolved", home, size)}
        try:
            require_spark()
        except DependencyDown as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        settings = yaml.safe_load((STORES / "spark.yaml").read_text())
        settings["offline_store"]["spark_conf"] |= {"spark.master": "local[2]", "spark.sql.shuffle.partitions": "8"}
        yield {"by": "spark", **run("spark", home, size, store=_named(home / "spark.yaml", settings))}


def registry(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    settings = yaml.safe_load((STORES / "redis.yaml").read_text())
    settings["online_store"] = {"type": "sqlite", "path": "${BIDREC_HOME}/feast/online.db"}
    in_file = _named(folder / "file.yaml", settings)
    for size in options.rounds:
        yield {"by": "file", "rounds": size, **run("registry", folder / f"file-{size}", size, store=in_file)}
        with served(postgres) as server:
            if server is None:
                continue
            settings["registry"] = yaml.safe_load((STORES / "postgres.yaml").read_text())["registry"]
            in_sql = _named(folder / "sql.yaml", settings)
            found = run("registry", folder / f"sql-{size}", size, in_sql, pid_of(server.port), **server.variables)
            yield {"by": "sql", "rounds": size, **found}


def online(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    for size in options.keys:
        yield {"by": "sqlite", "keys": size, **run("online", folder / f"sqlite-{size}", size)}
        with served(redis) as server:
            if server is not None:
                address = {"BIDREC_REDIS": server.address}
                store = str(STORES / "redis.yaml")
                found = run("online", folder / f"redis-{size}", size, store, pid_of(server.port), **address)
                yield {"by": "redis", "keys": size, **found}


def training(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    world = written(folder, options.scale)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    yield {"by": "one process", **run("training", world, 0)}
    yield {"by": "torchrun", **run("training", world, 0, launcher=torchrun)}


def run(
    name: str,
    folder: Path,
    size: int,
    store: str = "",
    server: int = 0,
    launcher: list[str] | None = None,
    **environment: str,
) -> Row:
    """What the contender found, from a process of its own; told on stderr too. `server`: whose CPU counts as well."""
    command = [*(launcher or [sys.executable, "-W", "ignore", "-m"]), MODULE, name, str(folder), str(size)]
    environment |= {"SCALING_STORE": store, "SCALING_SERVER": str(server or ""), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ | environment)
    if done.returncode:
        raise SystemExit(f"{name} of {size} ended with {done.returncode}")
    found: Row = json.loads(done.stdout.splitlines()[-1])
    print(f"{name} {size}: {found}", file=sys.stderr)
    return found


@contextmanager
def served(kind: Any) -> Iterator[Any]:
    """A server, or None where none can be started here."""
    reason = kind.missing()
    if reason:
        print(f"left out: {reason}", file=sys.stderr)
        yield None
        return
    with kind.server() as server:
        yield server


def pid_of(port: int) -> int:
    """The process that was told to listen on the port: the server's first one."""
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = command.read_bytes().decode(errors="replace").replace("\0", " ").split()
        except OSError:
            continue  # it ended
        is_server = bool(words) and Path(words[0]).name in ("postgres", "redis-server")
        if is_server and any(word == str(port) or word.endswith(f":{port}") for word in words):
            return int(command.parent.name)
    raise RuntimeError(f"no server on port {port}")


def _named(file: Path, settings: Row) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return str(file)


def table(found: dict[str, list[Row]]) -> str:
    lines = []
    for name, rows in found.items():
        columns = list(dict.fromkeys(column for row in rows for column in row))
        lines += [name, "  ".join(f"{column:>20}" for column in columns)]
        lines += ["  ".join(f"{row.get(column, ''):>20}" for column in columns) for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
