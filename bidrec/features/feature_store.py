"""Which feature_store.yaml is Feast's here, and what it says: registry, offline and online store.

Reads   what the configuration's feature_store names, else FEAST_FS_YAML_FILE_PATH, else the Feast repository's own
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from bidrec.config import Config
from bidrec.errors import ConfigurationError, InputMissing
from bidrec.features import spark
from bidrec.features.feast_import import import_feast

if TYPE_CHECKING:
    from feast import RepoConfig

_ENVIRONMENT = RLock()


def repository() -> Path:
    """The folder of the Feast repository that bidrec comes with."""
    import feature_repo

    return Path(feature_repo.__path__[0])


def repository_of(config: Config) -> Path:
    """The folder of the Feast repository that is configured."""
    return Path(config.feature_repo or repository()).resolve()


def joins_by_spark(config: Config) -> bool:
    """Whether the offline store that feature_store.yaml names is Feast's Spark store.

    feature_repo/sources.py, which stands alone, asks the same file itself, and gives that store's sources to its views.
    """
    with environment(config):
        return bool(store_settings(config).offline_store.type == "spark")


def online_store(config: Config) -> str:
    """The type of the online store, as Feast spells it: `sqlite`, `redis`, `postgres`, a class."""
    with environment(config):
        return str(store_settings(config).online_store.type)


def store_settings(config: Config) -> "RepoConfig":
    """What feature_store.yaml says, with `${NAME}` replaced from the environment.

    Raises InputMissing (66) where the file cannot be read; ConfigurationError (64) where a variable that it names is
    not set, or where Feast refuses what it says; DependencyDown (69) where it names Spark and there is none.
    """
    import_feast(config)
    from feast.errors import FeastError
    from feast.repo_config import FeastConfigError, load_repo_config
    from yaml import MarkedYAMLError, YAMLError
    from yaml.parser import ParserError

    file = _store_file(config)
    try:
        text = re.sub(r"(?m)(^|\s)#.*$", "", file.read_text(encoding="utf-8"))
        unset = sorted({name for name in re.findall(r"\$\{(\w+)\}", text) if not os.environ.get(name)})
        if unset:
            raise ConfigurationError(f"{file} needs {', '.join(unset)}", hint=f"export {unset[0]}=...")
        if spark.is_named(text):
            spark.require_spark()
        settings = load_repo_config(repository_of(config), file)
        settings.registry  # noqa: B018  Feast checks it only when it is first read
        return settings
    except OSError as error:
        raise InputMissing(f"cannot read {file}: {error.strerror}", hint="correct feature_store") from error
    except MarkedYAMLError as error:
        # What YAML quotes may be a password that was put in for a variable; its parser quotes nothing.
        fault = error.problem if isinstance(error, ParserError) else "not YAML"
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigurationError(
            f"{file}, line {line}: {fault}", hint="a value that YAML would read is put in quotes; see docs/feast.md"
        ) from None
    except (YAMLError, ValueError, TypeError, FeastError, FeastConfigError) as error:
        # pydantic quotes what it was given, which may hold a password.
        reason = re.sub(r"\[type=.*\]|For further information visit \S+", "", str(error))
        raise ConfigurationError(f"{file}: {reason}", hint="see docs/feast.md") from None


def _store_file(config: Config) -> Path:
    named = config.feature_store or os.environ.get("FEAST_FS_YAML_FILE_PATH")
    return Path(named or repository_of(config) / "feature_store.yaml").resolve()


@contextmanager
def environment(config: Config) -> Iterator[None]:
    """What the repository and Feast's commands read: this configuration's home, store and repository, absolute.

    One thread at a time, others wait: the environment is the process's, and a store opened meanwhile for another home
    would be this one's.
    """
    given = {
        "BIDREC_HOME": str(config.home_path),
        "FEAST_FS_YAML_FILE_PATH": str(_store_file(config)),
        "FEATURE_REPO_DIR_ENV_VAR": str(repository_of(config)),
    }
    with _ENVIRONMENT:
        before = {name: os.environ.get(name) for name in given}
        os.environ.update(given)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
