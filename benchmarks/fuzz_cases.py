"""The three kinds of a case: a source, a configuration or a home is spoilt, then a command is run on it.

    Source          `bidrec ingest` of three small tables, as Parquet, CSV or CSV.gz, whose rows or files are spoilt
    Configuration   a command that reads a bidrec.toml with odd values, or damaged
    Home            a command in a home of which one file that it reads is damaged

Each case says how it is made (`prepare`), what is run, and what must hold beside the exit code (`lost`).
"""

import json
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, is_dataclass
from datetime import date
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from pyarrow import parquet

from benchmarks.fuzz_files import Damage, damages, files_below, fresh
from benchmarks.fuzz_tables import encoded, rows_in, sound_rows, toml
from benchmarks.fuzz_values import Spoil, places, spoils, texts, times, values
from bidrec.config import Config
from bidrec.contract import TABLES
from bidrec.sources.own import write_own_source

ZONES = ("UTC", "Asia/Seoul", "America/New_York", "Europe/London", "Australia/Lord_Howe")
ENDINGS = ("parquet", "csv", "csv.gz")


@dataclass(frozen=True)
class Place:
    """Where cases are run: `folder` is empty before each, `home` a sound one that is only to be copied."""

    folder: Path
    home: Path
    settings: Path
    """The configuration that the home is made and read with."""
    notice: str
    company: str
    answers: dict[tuple[str, ...], Any] = field(default_factory=dict)
    """Command -> what it answers in the sound home."""


@dataclass(frozen=True)
class Source:
    spoils: Sequence[Spoil]
    damage: Damage | None
    damaged: str
    ending: str
    zone: str
    share: float
    """contract.max_bad_share."""

    def prepare(self, at: Place) -> tuple[list[str], Path]:
        """Returns the command, and the home that it works in."""
        rows = sound_rows()
        for spoil in self.spoils:
            spoil.apply(rows)
        write_own_source(at.folder / "definition", self.zone)
        tables = at.folder / "tables"
        tables.mkdir()
        for name, given in rows.items():
            (tables / f"{name}.{self.ending}").write_bytes(encoded(given, self.ending))
        if self.damage:
            self.damage.apply(tables / f"{self.damaged}.{self.ending}", tables / f"notice.{self.ending}")
        (at.folder / "bidrec.toml").write_text(
            f'[source]\nname = "{at.folder}/definition"\npath = "{tables}"\n[contract]\nmax_bad_share = {self.share}\n'
        )
        return ["ingest", "--config", str(at.folder / "bidrec.toml")], at.folder / "home"

    def lost(self, at: Place, output: str) -> str | None:
        """Rows in are rows kept and rows quarantined."""
        for name in TABLES:
            given = rows_in(at.folder / "tables" / f"{name}.{self.ending}")
            kept, bad = (_rows(at.folder / "home" / box, name) for box in ("lake", "quarantine/000001"))
            if given is not None and given != kept + bad:
                return f"{name}: {given} rows in, {kept} kept, {bad} quarantined"
        return None


@dataclass(frozen=True)
class Configuration:
    key: str
    value: Any
    damage: Damage | None
    command: tuple[str, ...]

    def prepare(self, at: Place) -> tuple[list[str], Path]:
        (at.folder / "tables").mkdir()
        write_own_source(at.folder / "definition", "UTC")
        for name, rows in sound_rows().items():
            (at.folder / "tables" / f"{name}.parquet").write_bytes(encoded(rows, "parquet"))
        file = at.folder / "bidrec.toml"
        given = {"source.name": f"{at.folder}/definition", "source.path": f"{at.folder}/tables", self.key: self.value}
        text = "".join(f"{key} = {toml(value)}\n" for key, value in given.items())
        file.write_text(text, encoding="utf-8", errors="surrogateescape")
        if self.damage:
            self.damage.apply(file, at.folder / "tables" / "bid.parquet")
        return [*self.command, "--config", str(file)], at.folder / "home"

    def lost(self, at: Place, output: str) -> str | None:
        return None


@dataclass(frozen=True)
class Home:
    file: int
    damage: Damage
    command: tuple[str, ...]

    def sound(self, at: Place) -> tuple[list[str], Path]:
        """The same command in a home that nothing has happened to."""
        home = at.folder / "home"
        fresh(at.home, home)
        words = {"@notice": at.notice, "@company": at.company, "@out": str(at.folder / "out")}
        return [*(words.get(word, word) for word in self.command), "--config", str(at.settings)], home

    def prepare(self, at: Place) -> tuple[list[str], Path]:
        command, home = self.sound(at)
        rooms = READ_BY[self.command[0]]
        files = [file for file in files_below(home) if file.relative_to(home).parts[0] in rooms]
        file = files[self.file % len(files)]
        self.damage.apply(file, files[(self.file * 7 + 1) % len(files)])
        return command, home

    def answer(self, at: Place, output: str) -> Any:
        """What is to be the same whatever is damaged: what was printed, exported or published; None: nothing is.

        Without reasons, which are counted anew from the features.
        """
        if self.command == ("write-back",):
            return [_lists(at.folder / "home" / "published" / "current" / f"{name}.parquet") for name in LISTS]
        if "--all" in self.command:
            return _lists(at.folder / "out")
        return _without_reasons(output) if self.command[0] in ("recommend", "runs") else None

    def lost(self, at: Place, output: str) -> str | None:
        """A command that answers gives the answer of the sound home."""
        if self.damage.way == "gone" and self.command == ("runs",):
            return None  # without its manifest, a run is an unfinished one
        return None if self.answer(at, output) == at.answers[self.command] else "another answer"


READERS = (
    *(("recommend", "--notice", "@notice"), ("recommend", "--company", "@company")) * 4,
    *(("runs",),) * 2,
    ("recommend", "--all", "--direction", "notice", "--format", "parquet", "--to", "@out"),
    ("recommend", "--company", "@company", "--as-of", "2025-06-01"),
)
WORKERS = (
    *(("write-back",), ("train",), ("report",), ("evaluate",), ("features",)),
    ("export-towers", "--to", "@out"),
    ("erase", "--company", "@company"),
)
"""These take seconds, and are drawn less often."""
READ_BY = {
    "recommend": ("published", "features"),
    "runs": ("runs", "published"),
    "write-back": ("runs", "features", "lake", "published", "feast"),
    "train": ("runs", "features", "lake", "feast"),
    "report": ("runs", "features", "lake"),
    "evaluate": ("runs", "features"),
    "features": ("runs", "feast"),
    "export-towers": ("runs",),
    "erase": ("lake", "features", "published", "runs", "feast"),
}
"""Command -> the boxes whose files it reads, all or some of."""
LISTS = ("notice_recommendations", "company_recommendations")


def keys_of(kind: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of the configuration and every table, with its type."""
    for name, hint in typing.get_type_hints(kind).items():
        yield prefix + name, hint
        if is_dataclass(hint):
            yield from keys_of(typing.cast(type, hint), f"{prefix}{name}.")


CONFIGURED = (("check",), ("ingest",), ("runs",), ("recommend", "--notice", "n1"))
KEYS = {**dict(keys_of(Config)), "nobody.knows": None, '""': None}

sources = st.builds(
    Source,
    spoils=st.lists(spoils, max_size=4),
    damage=st.one_of(st.none(), st.none(), damages),
    damaged=st.sampled_from(list(TABLES)),
    ending=st.sampled_from(ENDINGS),
    zone=st.sampled_from(ZONES),
    share=st.sampled_from([0.01, 0.5, 1.0, 1.0]),
)


def settings_of(key: str) -> st.SearchStrategy[Any]:
    """Odd values, most of them of the key's type: one of another type is refused before anybody reads it."""
    hint = KEYS[key]
    typed = TYPED.get(hint, TYPED.get(typing.get_origin(hint), values))
    # Not one_of, which would draw from all that `values` is one of, each as often as from `typed`.
    return st.sampled_from([typed, typed, values]).flatmap(lambda drawn: drawn)


ODD = st.sampled_from([0, 1, -1, 3, 0.5, 10**6, 10**9, 1e9])
TYPED: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers() | ODD,
    float: st.floats() | ODD,
    bool: st.booleans(),
    str: texts,
    tuple: st.lists(st.floats() | st.integers() | ODD, max_size=3),
    date | None: times,
    date: times,
}
configurations = st.sampled_from(list(KEYS)).flatmap(
    lambda key: st.builds(
        Configuration,
        key=st.just(key),
        value=settings_of(key),
        damage=st.one_of(st.none(), st.none(), st.none(), damages),
        command=st.sampled_from(CONFIGURED),
    )
)


def homes(workers: float) -> st.SearchStrategy[Home]:
    """workers: the share of the commands that take seconds."""
    often = round(len(WORKERS) / workers) if workers else 0
    commands = READERS * max(1, often // len(READERS)) + (WORKERS if workers else ())
    return st.builds(Home, file=places, damage=damages, command=st.sampled_from(commands))


def _lists(file: Path) -> list[dict[str, Any]]:
    """The rows but for the time of writing."""
    return [{name: row[name] for name in row if name != "written_at"} for row in parquet.read_table(file).to_pylist()]


def _without_reasons(output: str) -> Any:
    return json.loads(output, object_hook=lambda found: {name: found[name] for name in found if name != "reasons"})


def _rows(box: Path, table: str) -> int:
    files = (box / table).glob("*.parquet") if box.name == "lake" else box.glob(f"{table}.parquet")
    return sum(parquet.read_metadata(file).num_rows for file in files)
