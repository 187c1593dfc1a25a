"""One TOML file to a Config: unknown keys refused, wrong types named, every error reported at once."""

import dataclasses
import os
import re
import tomllib
import types
import typing
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any

from bidrec.config import Config
from bidrec.config.rules import broken
from bidrec.errors import ConfigurationError, InputMissing, nearest

_VARIABLE = re.compile(r"\$\{(\w+)\}")


def load(path: Path | None, **overrides: Any) -> Config:
    """Read the TOML file; `overrides` are dotted keys with `__` for the dot (`split__train_before=...`), None ignored.

    Raises ConfigurationError (64) that lists every unknown key (with the nearest valid name), wrong type and
    impossible value; InputMissing (66) where the file is not there.
    """
    tree = _read(path) if path else {}
    for key, value in overrides.items():
        if value is not None:
            _set(tree, key.split("__"), value)
    errors: list[str] = []
    config = _build(Config, tree, "", errors)
    if not errors:
        errors += broken(config)
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
        if not isinstance(tree, dict):  # a value where a table is wanted, which _build says
            return
    tree[keys[-1]] = value


def _build(kind: type, tree: Any, prefix: str, errors: list[str]) -> Any:
    if not isinstance(tree, dict):
        errors.append(f"[{prefix.rstrip('.')}] must be a table")
        return None
    hints = typing.get_type_hints(kind)
    for key in tree.keys() - hints.keys():
        near = nearest(key, hints)
        errors.append(f"unknown key {prefix}{key}" + (f", did you mean {prefix}{near}?" if near else ""))
    values: dict[str, Any] = {}
    for f in dataclasses.fields(kind):
        default = f.default if f.default is not dataclasses.MISSING else f.default_factory()  # type: ignore[misc, operator]
        given = tree.get(f.name, default)
        if dataclasses.is_dataclass(hints[f.name]):
            given = tree.get(f.name, {})
        values[f.name] = _value(hints[f.name], given, f"{prefix}{f.name}", errors)
    return kind(**values)


def _value(hint: Any, value: Any, name: str, errors: list[str]) -> Any:
    """`value` as `hint` wants it; a wrong type is added to `errors`."""
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast(type, hint), value, f"{name}.", errors)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_value(args[0], item, f"{name}[{i}]", errors) for i, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {key: _value(args[1], item, f"{name}.{key}", errors) for key, item in value.items()}
    if origin in (types.UnionType, typing.Union):
        return None if value in (None, "") else _value(args[0], value, name, errors)
    if hint is str and isinstance(value, str):
        return _filled_in(value, name, errors)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is date and isinstance(value, date | str) and not isinstance(value, datetime):  # a moment has two days
        with suppress(ValueError):
            return date.fromisoformat(value) if isinstance(value, str) else value
    if hint in (int, bool) and type(value) is hint:
        return value
    wanted = getattr(origin or hint, "__name__", str(hint))
    errors.append(f"{name} must be {wanted}, not {value if isinstance(value, datetime) else repr(value)}")
    return None


def _filled_in(text: str, name: str, errors: list[str]) -> str:
    """The text with its environment variables. One that is not set is empty where it is all of the text; as a part of a
    path it would make another one."""
    missing = [variable for variable in _VARIABLE.findall(text) if variable not in os.environ]
    if missing and not _VARIABLE.fullmatch(text):
        errors.append(f"{name}: the environment has no {', '.join(missing)}")
    return _VARIABLE.sub(lambda match: os.environ.get(match[1], ""), text)
