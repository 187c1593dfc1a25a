"""What feature_store.yaml says of the store that the definitions are applied to: its project, its offline store."""

import os
from pathlib import Path
from typing import Any

import yaml

_NAMED = "FEAST_FS_YAML_FILE_PATH"


def store() -> dict[str, Any]:
    """The feature_store.yaml that Feast was given, with `${NAME}` replaced from the environment as Feast does it."""
    file = Path(os.environ.get(_NAMED) or Path(__file__).with_name("feature_store.yaml"))
    if not file.is_absolute():
        raise SystemExit(f"{_NAMED} must be an absolute path. For example: export {_NAMED}=$PWD/{file}")
    said: dict[str, Any] = yaml.safe_load(os.path.expandvars(file.read_text(encoding="utf-8")))
    return said
