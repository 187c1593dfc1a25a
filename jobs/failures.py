"""What an error is to whoever called the command: an exit code (`bidrec/errors.py`), one line on stderr, and a hint.

Knows the libraries by the names of their errors alone and imports none of them.
"""

import re
import traceback

import click

from bidrec.errors import BidrecError, CannotWrite, ConfigurationError, ContractError, DependencyDown, Interrupted
from bidrec.operations.passwords import masked
from bidrec.storage.damage import is_damage
from bidrec.storage.refusals import refusal, way_out

# Feast lets through what the clients of its stores raise, whichever feature_store.yaml names.
_STORE_CLIENTS = ("redis", "psycopg", "sqlalchemy")
_OUT_OF_REACH = (
    *("ConnectionError", "TimeoutError", "AuthenticationError", "OperationalError", "ConnectionTimeout"),
    *("BusyLoadingError", "OutOfMemoryError", "ReadOnlyError"),  # of a Redis that is there and cannot
)
_LONGEST = 800
"""Characters of a message."""
_ORDERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What a terminal obeys, or turns round, instead of showing it: a message may quote a file's name or a value."""
_DAMAGED = "restore what is damaged from a copy, or delete its folder and run again the command that writes it"
_HOMELESS = "Could not determine home directory."
"""What pathlib says of ~ where neither HOME nor the list of users has one, as in many a container."""
_GONE = re.compile('Cannot open file ".+": No such file')
"""What DuckDB says of a file that it has listed and that is gone by now, as when small ones are put together."""
_FULL = ("DefaultCPUAllocator: can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""What torch says of a CPU that has no more memory; CUDA, of a GPU; cuBLAS, of the same."""
_SMALLER = (
    "a machine with more, or smaller settings: model.embedding_dim, table_dim, hidden, company_hidden or members, "
    "training.batch_size or candidates, loss.uniform_negatives or frequency_buckets; loss.block scores fewer companies "
    "at a time"
)


def report(error: BaseException, interrupted: bool, verbose: bool) -> tuple[int, dict[str, str]]:
    """Say on stderr what went wrong and what to do about it; returns the exit code, and what was said for the log."""
    known = _known(error, interrupted) or BidrecError(
        f"this is a bug in bidrec: {type(error).__name__}: {error}", hint="please report it with what -v prints"
    )
    if verbose:
        _say("".join(traceback.format_exception(error)).rstrip())
    said = {"error": _one_line(known.message)} | ({"hint": _one_line(known.hint)} if known.hint else {})
    for what, text in said.items():
        _say(f"{what}: {text}")
    return known.exit_code, said


def _known(error: BaseException, interrupted: bool) -> BidrecError | None:
    """The error as one of ours, or None for a bug."""
    if isinstance(error, Interrupted):
        return error
    if interrupted or isinstance(error, KeyboardInterrupt):
        return Interrupted("stopped by a signal", hint="run the same command again")
    if isinstance(error, BidrecError):
        return error
    if refusal(error) is not None:
        return CannotWrite(str(error), hint=way_out(refusal(error)))
    if type(error).__module__ == "sqlite3" and "database is locked" in str(error):
        return Interrupted(f"the online store is being written: {error}", hint="run the same command again")
    if (type(error).__module__, type(error).__name__) == ("sqlalchemy.exc", "IntegrityError"):
        return Interrupted(f"another job wrote to the registry: {error}", hint="run the same command again")
    if type(error).__module__.split(".")[0] in _STORE_CLIENTS and type(error).__name__ in _OUT_OF_REACH:
        return DependencyDown(str(error), hint="see to the server that feature_store.yaml names, then run again")
    in_duckdb = type(error).__module__ in ("duckdb", "_duckdb")
    if in_duckdb and type(error).__name__ == "OutOfMemoryException":
        return ConfigurationError(str(error), hint="raise memory_limit")
    if in_duckdb and _GONE.search(str(error)):
        return Interrupted(f"a file went while it was read: {error}", hint="run the same command again")
    if _is_out_of_memory(error):
        return ConfigurationError(f"not enough memory: {error}", hint=_SMALLER)
    if isinstance(error, RuntimeError) and str(error) == _HOMELESS:
        return ConfigurationError("a path begins with ~, and this user has no home directory", hint="write it in full")
    if is_damage(error):
        return ContractError(f"a file cannot be read: {error}", hint=_DAMAGED)
    return None


def _is_out_of_memory(error: BaseException) -> bool:
    """Of Python, NumPy and Arrow a MemoryError; torch has its own for what it keeps of a GPU, and else only a text."""
    on_gpu = (type(error).__module__, type(error).__name__) == ("torch", "OutOfMemoryError")
    told = isinstance(error, RuntimeError) and any(text in str(error) for text in _FULL)
    return isinstance(error, MemoryError) or on_gpu or told


def _one_line(text: str) -> str:
    """The text in one line; of one that quotes a whole document, its beginning and its end."""
    line = _shown(" ".join(text.split()))
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 200]} ... {line[-200:]}"


def _shown(text: str) -> str:
    """The text with what a terminal would obey spelt out."""
    return _ORDERS.sub(lambda order: ascii(order[0])[1:-1], text)


def _say(text: str) -> None:
    """Print to stderr, with the password of any address in it masked."""
    click.echo(masked(_shown(text)), err=True)
