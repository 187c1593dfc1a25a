"""Write docs/reference.md from the code: commands, configuration, exit codes, canonical tables.

python -m docs.generate_reference
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from bidrec import config, contract, errors
from bidrec.config.files import as_toml, meanings, tables
from bidrec.features.registry import apply
from bidrec.features.schema import read_schema
from bidrec.training_set.tables import views_of
from jobs.cli import COMMANDS, main

TARGET = Path(__file__).with_name("reference.md")
BEGINNING = """# Reference

Commands, configuration keys, exit codes and canonical tables, generated from the code by
`python -m docs.generate_reference`. Elsewhere: columns of exports in [using.md](using.md), keys of `--json` objects in
[json.md](json.md). `bidrec features` lists the fields that the model reads.
"""
COMMON = ("config_path", "as_json", "wait_seconds", "verbose", "help")
"""Options of every command, listed once."""
ARGUMENTS = {
    "A": "A run's id (`bidrec runs`).",
    "B": "Another run's id.",
    "RUN": "A run's id (`bidrec runs`).",
    "[RUN]": "A run's id; default: the newest finished run.",
    "COMMAND ...": "One of Feast's commands with its options.",
}

COLUMNS = {
    "notice.notice_id": "number of the notice, unique",
    "notice.published_at": "when it became public as described here",
    "notice.closes_at": "last moment to bid, as last stated",
    "notice.opened_at": "when its bids become public; may lie in the future",
    "notice.withdrawn_at": "when it was called off: from then on nobody can bid",
    "notice.place": "place of the work, as the notice names it",
    "notice.duration_days": "length of the contract, in days",
    "company.company_id": "number of the company",
    "company.known_at": "from when the record is known as given; several rows of a company are its versions",
    "company.licences": "licences and business codes it holds; empty: none, NULL: unknown",
    "bid.notice_id": "notice that was bid on",
    "bid.company_id": "company that bid; unique together with notice_id",
    "bid.event_at": "when it was submitted; if that is unknown, give known_at",
    "bid.known_at": "when it became public, the opening; nothing uses the bid before",
    "bid.amount": "price offered, in the notice's currency",
    "bid.rank": "place among the notice's bids",
    "bid.won": "whether it was accepted; NULL: undecided or unknown",
    "bid.valid": "whether it passed, and was not disqualified",
    "bid.decided_at": "from when `won` is known, the award; NULL: from `known_at`",
}
"""Those that no field of the model's schema speaks of, or that several make something else of."""


def reference() -> str:
    """The whole page."""
    parts = [BEGINNING, *_commands(), *_configuration(), *_exit_codes(), *_tables()]
    return "\n".join(parts)


def _commands() -> Iterator[str]:
    yield "## Commands\n"
    yield "Every command takes `--config FILE`, `--json`, `--wait SECONDS`, `-v` and `--help`.\n"
    for name, (_, summary) in COMMANDS.items():
        yield f"### bidrec {name}\n\n{summary}\n"
        command = main.get_command(click.Context(main), name)
        assert command
        yield from _options(command)
        if isinstance(command, click.Group):
            context = click.Context(command)
            for sub in command.list_commands(context):
                found = command.get_command(context, sub)
                assert found
                yield f"`bidrec {name} {sub}`: {found.get_short_help_str(200)}\n"
                yield from _options(found)


def _options(command: click.Command) -> Iterator[str]:
    rows = [_option(parameter) for parameter in command.params if parameter.name not in COMMON]
    if rows:
        yield "\n".join(["| option | what it says |", "|---|---|", *rows, ""])


def _option(parameter: click.Parameter) -> str:
    names = (*parameter.opts, *parameter.secondary_opts)
    if isinstance(parameter, click.Argument):
        names = (parameter.human_readable_name,)
    spelt = ", ".join(f"`{name}`" for name in names)
    said = getattr(parameter, "help", None) or ARGUMENTS[str(parameter.human_readable_name)]
    if isinstance(parameter.type, click.Choice):
        said += f" One of {', '.join(f'`{choice}`' for choice in parameter.type.choices)}."
    default = parameter.to_info_dict()["default"]
    if default is not None and not isinstance(default, bool | list | tuple):
        said += f" Default: `{default}`."
    return f"| {spelt} | {said.replace('|', '/')} |"


def _configuration() -> Iterator[str]:
    yield "## Configuration\n"
    yield "One TOML file; a dot in a key is a table (`[split]`). Unknown keys are refused, all errors reported at once."
    yield "`${NAME}` in a string is replaced from the environment. If the variable is not set, a string that is nothing"
    yield "else becomes empty, and a longer one is refused. In Korean: [configuration.ko.md](configuration.ko.md).\n"
    further = [line for name, kind in tables().items() for line in _keys(kind, f"{name}.")]
    yield "\n".join(["| key | default | meaning |", "|---|---|---|", *_keys(config.Config), *further, ""])


def _keys(kind: type, prefix: str = "") -> Iterator[str]:
    for name, meaning in meanings(kind).items():
        default = as_toml(getattr(kind(), name))
        shown = default and f"`{default}`"
        yield f"| `{prefix}{name}` | {shown} | {meaning.replace('|', '/')} |"


def _exit_codes() -> Iterator[str]:
    yield "## Exit codes\n"
    rows = ["| 0 | done |", "| 2 | the command was called wrongly |"]
    for kind in errors.BidrecError.__subclasses__():
        rows.append(f"| {kind.exit_code} | {_meaning(kind)} |")
    rows.append("| 70 | a bug in bidrec |")
    yield "\n".join(["| code | meaning |", "|---|---|", *rows, ""])


def _meaning(kind: type[errors.BidrecError]) -> str:
    """What the tree in the docstring of errors.py says of it."""
    line = next(line for line in (errors.__doc__ or "").splitlines() if kind.__name__ in line)
    return line.split(str(kind.exit_code), 1)[1].strip()


def _tables() -> Iterator[str]:
    yield "## Canonical tables\n"
    yield "The columns that a source's three SELECTs may give; needed ones are marked. Times are `TIMESTAMPTZ`.\n"
    said = _columns()
    for table in contract.TABLES.values():
        yield f"### {table.name}\n"
        rows = [
            f"| `{column.name}` | {column.type} | {'yes' if column.needed else ''} | {said[table.name, column.name]} |"
            for column in table.columns
        ]
        yield "\n".join(["| column | type | needed | meaning |", "|---|---|---|---|", *rows, ""])


def _columns() -> dict[tuple[str, ...], str]:
    """(table, column) -> meaning: what the model's first field of that column says, where there is no word of ours."""
    with tempfile.TemporaryDirectory() as home:
        apply(config.Config(home=home))
        views = views_of(read_schema(config.Config(home=home)))
    fields = [field for view in views.values() for field in view.fields]
    said = {field.source: field.meaning for field in reversed(fields)} | COLUMNS
    return {tuple(source.split(".")): meaning.replace("|", "/") for source, meaning in said.items()}


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
