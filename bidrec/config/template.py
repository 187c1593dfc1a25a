"""A configuration to begin with: the source filled in, every other key as a comment with what it means.

Made from the dataclasses themselves, so that it cannot be behind them. docs/generate_reference.py reads the same.
"""

import ast
import dataclasses
import inspect
import json
import textwrap
import typing
from collections.abc import Iterator, Mapping
from datetime import date
from itertools import pairwise
from typing import Any

from bidrec.config import Config

_WIDTH = 100


def template(source: Mapping[str, str]) -> str:
    """TOML. `source`: keys of [source] and their values; all other keys stand there as comments with their defaults."""
    parts = ["# bidrec reads this file where --config or BIDREC_CONFIG name it, or as ./bidrec.toml.", ""]
    parts += _keys(Config, {})
    for field in dataclasses.fields(Config):
        kind = typing.get_type_hints(Config)[field.name]
        if dataclasses.is_dataclass(kind):
            parts += ["", f"[{field.name}]", *_keys(typing.cast(type, kind), source if field.name == "source" else {})]
    return "\n".join(parts) + "\n"


def meanings(kind: type) -> dict[str, str]:
    """Key -> the text that stands below it in bidrec/config, as one line; "" where none does."""
    (defined,) = ast.parse(inspect.getsource(kind)).body
    found = {field.name: "" for field in dataclasses.fields(kind)}
    for key, below in pairwise(typing.cast(ast.ClassDef, defined).body):
        match key, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
    return found


def _keys(kind: type, given: Mapping[str, str]) -> Iterator[str]:
    told, plain, hints = meanings(kind), kind(), typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(hints[field.name]):
            continue
        yield from textwrap.wrap(told[field.name], _WIDTH, initial_indent="# ", subsequent_indent="# ")
        if field.name in given:
            yield f"{field.name} = {as_toml(given[field.name])}"
        else:
            yield f"# {field.name} = {as_toml(getattr(plain, field.name))}"


def as_toml(value: Any) -> str:
    """The value as one writes it in the file; "" for a key without default."""
    if value is None:
        return ""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {as_toml(item)}" for key, item in value.items()) + " }" if value else "{}"
    return json.dumps(value, ensure_ascii=False)
