"""The configuration file: read it, with every error at once, and write a commented one to begin with."""

import dataclasses
import json
import os
import re
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bidrec.config import Config
from bidrec.errors import ConfigurationError, InputMissing, nearest

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_WIDTH = 100
_KINDS = {
    "valid integer": "integer",
    "valid string": "string",
    "valid number": "float",
    "valid boolean": "boolean",
    "valid tuple": "array",
    "valid array": "array",
    "valid date": "date",
    "valid dictionary": "table",
}
"""What pydantic calls a type -> what TOML calls it."""


def load(path: Path | None, **overrides: Any) -> Config:
    """Read the TOML file; `overrides` are dotted keys with `__` for the dot (`split__train_before=...`), None ignored.

    Raises ConfigurationError (64) that lists every unknown key (with the nearest valid name), wrong type and
    impossible value; InputMissing (66) where the file is not there.
    """
    tree = _read(path) if path else {}
    for key, value in overrides.items():
        if value is not None:
            _set(tree, key.split("__"), value)
    for key in ("home", "source__url", "publish__url"):
        table, _, name = key.rpartition("__")
        if name not in (tree.get(table, {}) if table else tree):
            _set(tree, key.split("__"), getattr(getattr(Config(), table) if table else Config(), name))
    errors: list[str] = []
    filled = _filled(tree, "", errors)
    try:
        # From JSON, where pydantic's strict mode takes tables and arrays for what they are.
        config = TypeAdapter(Config).validate_json(json.dumps(filled, default=str))
        errors += config.conflicts() if not errors else []
    except ValidationError as error:
        errors += [_sentence(dict(one)) for one in error.errors(include_url=False)]
    if errors:
        where = f"{path}: " if path else ""
        raise ConfigurationError(where + "; ".join(errors), hint="docs/reference.md lists every key with its default")
    return config


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputMissing(f"cannot read the configuration {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from error


def _set(tree: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):  # the validation reports it
            return
    tree[keys[-1]] = value


def _filled(value: Any, name: str, errors: list[str]) -> Any:
    """The value with the environment variables of its strings. An unset one is an error within a longer string."""
    if isinstance(value, dict):
        return {key: _filled(item, f"{name}.{key}".lstrip("."), errors) for key, item in value.items()}
    if not isinstance(value, str):
        return value
    missing = [variable for variable in _VARIABLE.findall(value) if variable not in os.environ]
    if missing and not _VARIABLE.fullmatch(value):
        errors.append(f"{name}: the environment has no {', '.join(missing)}")
        return ""
    return _VARIABLE.sub(lambda match: os.environ.get(match[1], ""), value)


def _sentence(error: dict[str, Any]) -> str:
    """One error of pydantic as a sentence that names the key and the value."""
    *within, key = error["loc"]
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).lstrip(".")
    if error["type"] == "unexpected_keyword_argument":
        kind = tables()[within[0]] if within else Config
        near = nearest(str(key), [field.name for field in dataclasses.fields(kind)])
        return f"unknown key {name}" + (f", did you mean {'.'.join([*within, near])}?" if near else "")
    if error["type"] == "dataclass_type":
        return f"[{name}] must be a table"
    if error["type"] == "too_short":
        return f"{name} must not be empty"
    text = (
        error["msg"]
        .removeprefix("Value error, ")
        .replace("Input should be", "must be")
        .replace("an object", "of type table")
    )
    text = re.sub(r"a (valid \w+)", lambda found: f"of type {_KINDS.get(found[1], found[1])}", text)
    return f"{name} {text}, not {error['input']!r}"


def template(source: Mapping[str, str]) -> str:
    """TOML: [source] with these keys and values, every other key as a comment with its meaning and default."""
    parts = ["# bidrec reads this file where --config or BIDREC_CONFIG name it, or as ./bidrec.toml.", ""]
    parts += _keys(Config, {})
    for name, kind in tables().items():
        parts += ["", f"[{name}]", *_keys(kind, source if name == "source" else {})]
    return "\n".join(parts) + "\n"


def tables() -> dict[str, type]:
    """Name of a TOML table -> its class."""
    plain = Config()
    return {
        field.name: type(getattr(plain, field.name))
        for field in dataclasses.fields(Config)
        if dataclasses.is_dataclass(getattr(plain, field.name))
    }


def meanings(kind: type) -> dict[str, str]:
    """Key -> its description as one line, for each key of a table that is no table itself."""
    fields: dict[str, Any] = kind.__pydantic_fields__  # type: ignore[attr-defined]
    return {name: " ".join((field.description or "").split()) for name, field in fields.items() if name not in tables()}


def _keys(kind: type, given: Mapping[str, str]) -> Iterator[str]:
    plain = kind()
    for name, meaning in meanings(kind).items():
        yield from textwrap.wrap(meaning, _WIDTH, initial_indent="# ", subsequent_indent="# ")
        value = given.get(name, getattr(plain, name))
        yield f"{'' if name in given else '# '}{name} = {as_toml(value)}"


def as_toml(value: Any) -> str:
    """The value as one writes it in the file; "" for a key without default."""
    if value is None:
        return ""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {as_toml(item)}" for key, item in value.items()) + " }" if value else "{}"
    return json.dumps(value, ensure_ascii=False)
