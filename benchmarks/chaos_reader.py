"""A reader who polls what is published, all the time, in a process of its own.

Reads   published/current, and Feast's online store, opened anew each time as a reader that has just started would
Sees    a whole publication each time, or it is a violation: a link to nothing, a file that is not its manifest's, an
        embedding online that no publication has, a store that refuses to answer
"""

import logging
import multiprocessing
import time
from collections import Counter
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np

from bidrec.config import Config
from bidrec.features.registry import open_store
from bidrec.storage.intact import is_whole

if TYPE_CHECKING:
    from benchmarks.chaos_market import Market

FORK = multiprocessing.get_context("fork")
VIEWS = {"company_embedding": "company_id", "notice_embedding": "notice_id"}
ENTITIES = 5
Vectors = dict[tuple[str, str], np.ndarray]
Asked = dict[str, list[str]]
PAUSE = 0.25


class Reader:
    """A context manager; `seen` and `violations` are filled when it is left. Inert where nothing is published."""

    def __init__(self, market: "Market") -> None:
        self.seen: Counter[str] = Counter()
        self.violations: list[str] = []
        self._home = market.home
        self._online = (market.home / "feast" / "online.db").exists()
        self._stop, self._ready = FORK.Event(), FORK.Event()
        self._answer, writing = FORK.Pipe(duplex=False)
        self._process = FORK.Process(target=_poll, args=(self._home, self._online, (self._ready, self._stop), writing))
        self._writing = writing

    def __enter__(self) -> "Reader":
        self._process.start()
        self._writing.close()
        # What is online to begin with was published before: a job that starts now may be sooner than the first reading.
        self._ready.wait(timeout=60)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        try:
            self.seen, self.violations = self._answer.recv()
        except EOFError:
            self.violations = ["the reader has died"]
        self._process.join()

    def dismiss(self) -> None:
        """What it has seen does not count."""


def _poll(home: Path, online: bool, signals: tuple[Any, Any], answer: Any) -> None:
    ready, stop = signals
    seen: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    published: dict[str, Vectors] = {}
    logging.disable()
    asked = {view: _entities(home, view, key) for view, key in VIEWS.items()}
    _read_published(home, asked, published, seen)
    ready.set()
    while True:
        last = stop.is_set()
        try:
            # First what is online: whatever it is, it was published before.
            answers = _read_online(home, asked, seen) if online else []
            _read_published(home, asked, published, seen)
            _refuse_unknown(answers, list(published.values()))
        except Exception as error:
            wrong[f"a reader: {type(error).__name__}: {str(error)[:200]}"] += 1
        if last:
            break
        time.sleep(PAUSE)
    answer.send((seen, [f"{what} ({times} times)" for what, times in wrong.items()]))
    answer.close()


def _read_published(home: Path, asked: Asked, published: dict[str, Vectors], seen: Counter[str]) -> None:
    """The version that is current, if it is a new one: whole, with all its vectors."""
    folder = (home / "published" / "current").resolve(strict=True)
    seen["published"] += 1
    if folder.name in published:
        return
    if not is_whole(folder):
        raise ValueError(f"{folder.name} is not whole")
    seen["versions"] += 1
    published[folder.name] = {
        (view, entity): np.array(embedding, np.float32)
        for view, key in VIEWS.items()
        for entity, embedding in duckdb.execute(
            f"SELECT {key}, embedding FROM '{folder / view}.parquet' WHERE list_contains($asked, {key})",
            {"asked": asked[view]},
        ).fetchall()
    }


def _read_online(home: Path, asked: Asked, seen: Counter[str]) -> list[tuple[str, str, Any]]:
    """(view, entity, embedding) of some companies and notices."""
    with redirect_stdout(StringIO()):
        store = open_store(Config(home=str(home)))
    answers = []
    for view, entities in asked.items():
        answer = store.get_online_features(
            features=[f"{view}:embedding", f"{view}:run_id"], entity_rows=[{VIEWS[view]: entity} for entity in entities]
        ).to_dict()
        answers += [(view, entity, one) for entity, one in zip(entities, answer["embedding"], strict=True)]
        seen["online"] += len(entities)
    return answers


def _entities(home: Path, view: str, key: str) -> list[str]:
    """A few of those that are published to begin with: what comes later may be published and not yet online."""
    file = (home / "published" / "current").resolve() / f"{view}.parquet"
    rows = duckdb.execute(f"SELECT {key} FROM '{file}' ORDER BY {key} LIMIT {ENTITIES}").fetchall()
    return [entity for (entity,) in rows]


def _refuse_unknown(answers: list[tuple[str, str, Any]], versions: list[Vectors]) -> None:
    for view, entity, embedding in answers:
        known = [version[view, entity] for version in versions if (view, entity) in version]
        if embedding is None or not any(np.array_equal(np.float32(embedding), one) for one in known):
            raise ValueError(f"{view} {entity}: an embedding that no version has")
