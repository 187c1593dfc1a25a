"""Write docs/reference.md from the code: commands, configuration, exit codes, canonical tables.

python -m docs.generate_reference
"""

import dataclasses
import typing
from collections.abc import Iterator
from pathlib import Path

import click

from bidrec import config, contract, errors
from bidrec.config.template import as_toml, meanings
from jobs.cli import COMMANDS, main

TARGET = Path(__file__).with_name("reference.md")
BEGINNING = """# Reference

Made from the code by `python -m docs.generate_reference`; a test holds the two together. Columns of exports are in
[using.md](using.md), keys of `--json` objects in [json.md](json.md), fields that the model reads come from
`bidrec features`.
"""
COMMON = ("config_path", "as_json", "wait_seconds", "verbose", "help")
"""Options of every command, listed once."""
ARGUMENTS = {
    "A": "A run's id (`bidrec runs`).",
    "B": "Another run's id.",
    "RUN": "A run's id (`bidrec runs`).",
    "[RUN]": "A run's id; without it, the newest finished run.",
    "COMMAND ...": "One of Feast's commands with its options.",
}


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
    yield "One TOML file; `${NAME}` in a string is the environment variable of that name. Unknown keys are refused.\n"
    yield "\n".join(["| key | default | meaning |", "|---|---|---|", *_keys(config.Config), ""])


def _keys(kind: type, prefix: str = "") -> Iterator[str]:
    hints, said = typing.get_type_hints(kind), meanings(kind)
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(hints[field.name]):
            yield from _keys(typing.cast(type, hints[field.name]), f"{prefix}{field.name}.")
        else:
            default = as_toml(getattr(kind(), field.name))
            shown = default and f"`{default}`"
            yield f"| `{prefix}{field.name}` | {shown} | {said[field.name].replace('|', '/')} |"


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
    yield "What a source's three SELECTs may give; needed columns are marked. Times are `TIMESTAMPTZ`.\n"
    for table in contract.TABLES.values():
        yield f"### {table.name}\n"
        rows = [f"| `{column.name}` | {column.type} | {'yes' if column.needed else ''} |" for column in table.columns]
        yield "\n".join(["| column | type | needed |", "|---|---|---|", *rows, ""])


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
