"""What benchmarks/scaling.py measures: one thing done once, in a process of its own, at one size.

    python -m benchmarks.scaling_contenders NAME FOLDER SIZE

Reads   FOLDER/source (pairs), the servers that the environment names
Writes  one JSON object to stdout: CPU seconds of this process and of what it started, seconds, peak MiB
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet
from torch.distributed import all_gather_object

from benchmarks.process import status_kib
from bidrec.asof.spark import known_since_by_spark
from bidrec.config import Config, Model, Source, Training
from bidrec.features.build import build_features
from bidrec.features.registry import apply, materialize, open_store
from bidrec.features.schema import read_schema
from bidrec.lake.ingest import ingest
from bidrec.storage.locks import one_job_at_a_time
from bidrec.training import loop, processes
from bidrec.training_set.arrays import TrainingSet
from bidrec.training_set.build import read_keys
from bidrec.training_set.tables import open_tables, views_of

VIEW, DIM = "company_embedding", 64
ASKED = 1000
"""Keys in one request."""
Found = dict[str, float]


def prepared(folder: Path, size: int) -> Found:
    """Lake and features of the market in FOLDER/source, for the two below."""
    config = config_of(folder)
    ingest(config)
    build_features(config)
    return {}


def resolved(folder: Path, size: int) -> Found:
    """Which version each pair sees: bidrec/asof/resolve.py."""
    return _pairs(folder, by_spark=False)


def spark(folder: Path, size: int) -> Found:
    """The same by Feast's Spark store on this machine, Java's start and end included."""
    return _pairs(folder, by_spark=True)


def _pairs(folder: Path, *, by_spark: bool) -> Found:
    config = config_of(folder)
    apply(config)
    schema = read_schema(config)
    with open_tables(config, schema) as tables:
        companies = [view for side, view in views_of(schema).items() if side != "notice"]
        asked = partial(known_since_by_spark, config, tables.connection, companies) if by_spark else None
        with measured() as found:
            keys = read_keys(tables, asked)
    return found | {"pairs": len(keys.pairs.notice)}


def registry(folder: Path, size: int) -> Found:
    """`size` times what a job asks of the registry: apply, then materialize one key. The last one is measured, and not
    the first one before them, which imports Feast and makes the tables."""
    config = config_of(folder)
    _publish(config, 1)
    for _ in range(size + 1):
        with measured() as found:
            apply(config)
        with measured() as brought:
            materialize(config, (VIEW,))
    return {"apply_cpu_s": found["cpu_s"], "materialize_cpu_s": brought["cpu_s"], "peak_mib": brought["peak_mib"]}


def online(folder: Path, size: int) -> Found:
    """`size` vectors materialized, then ASKED of them read ten times."""
    config = config_of(folder)
    keys = _publish(config, size)
    apply(config)
    with measured() as written:
        materialize(config, (VIEW,))
    store = open_store(config)
    rng = np.random.default_rng(1)
    features = [f"{VIEW}:embedding"]
    with measured() as read:
        for _ in range(10):
            rows = [{"company_id": keys[row]} for row in rng.integers(0, size, ASKED)]
            answer = store.get_online_features(features, rows).to_dict()
    assert all(vector is not None and len(vector) == DIM for vector in answer["embedding"])
    return written | {"read_cpu_s": read["cpu_s"] / 10, "read_s": read["s"] / 10}


def training(folder: Path, size: int) -> Found:
    """One epoch of the default model over FOLDER/training_set, this process's share where torchrun started it."""
    settings = Training(epochs=1, refit=False, checkpoint_seconds=3600, device="cpu")
    with processes.joined("cpu"):
        ts = TrainingSet.open(folder)
        run = folder.parent / f"run-{processes.size()}"
        with measured() as found:
            trained = loop.train(Config(training=settings, model=Model(dropout=0.0)), ts, run)
        found["steps_per_second"] = trained["curve"][0]["steps_per_second"]
        every = [found]
        if processes.size() > 1:
            every = [found] * processes.size()
            all_gather_object(every, found)
    return found | {"cpu_s": sum(each["cpu_s"] for each in every), "processes": len(every)}


CONTENDERS: dict[str, Callable[[Path, int], Found]] = {
    each.__name__: each for each in (prepared, resolved, spark, registry, online, training)
}


def config_of(folder: Path) -> Config:
    """A home in the folder, and the store that SCALING_STORE names."""
    source = Source(name="koneps", path=str(folder / "source"))
    return Config(home=str(folder / "home"), feature_store=os.environ.get("SCALING_STORE", ""), source=source)


def _publish(config: Config, rows: int) -> list[str]:
    """Random vectors of so many companies as a publication; returns the companies."""
    keys = [f"{row:010d}" for row in range(rows)]
    values = pa.array(np.random.default_rng(1).standard_normal(rows * DIM, np.float32))
    vectors = pa.ListArray.from_arrays(pa.array(np.arange(rows + 1, dtype=np.int32) * DIM), values)
    written_at = pa.array([0] * rows, pa.timestamp("us", "UTC"))
    table = {"company_id": keys, "written_at": written_at, "run_id": ["none"] * rows, "embedding": vectors}
    folder = config.home_path / "published" / "current"
    # A write-back's lock says that the home is bidrec's: no job takes another folder with a publication in it.
    with one_job_at_a_time(config.home_path, "published", config.wait_seconds):
        folder.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pa.table(table), folder / f"{VIEW}.parquet")
    return keys


@contextmanager
def measured() -> Iterator[Found]:
    """CPU seconds and seconds of the block, and this process's and its children's peaks so far."""
    found: Found = {}
    cpu, started = _cpu(), time.monotonic()
    yield found
    found["cpu_s"], found["s"] = _cpu() - cpu, time.monotonic() - started
    found["peak_mib"] = status_kib("VmHWM") / 1024
    found["children_mib"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used) + _of_server()


def _of_server() -> float:
    """CPU seconds of the server that SCALING_SERVER names by its process id, and of its children."""
    server = os.environ.get("SCALING_SERVER")
    if not server:
        return 0.0
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8").rpartition(") ")[2].split()
        except OSError:
            continue  # it ended
        own = stat.parent.name == server
        if own or fields[1] == server:
            ticks += sum(map(int, fields[11:15] if own else fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    name, folder, size = sys.argv[1:]
    found = CONTENDERS[name](Path(folder), int(size))
    if not processes.other_process():
        print(json.dumps({key: round(value, 4) for key, value in found.items()}))


if __name__ == "__main__":
    main()
