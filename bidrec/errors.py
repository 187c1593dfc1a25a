"""Every way a bidrec job can end, one small tree; each class carries its exit code.

    BidrecError
    ├── ConfigurationError   64  a key, a type or a value in the TOML is wrong
    ├── ContractError        65  the data broke the contract, a file is damaged, a leak was found, or a feature shifted
    ├── InputMissing         66  no source, no file, an empty table, an unknown id
    ├── DependencyDown       69  a database, a GPU or a store is not available
    ├── CannotWrite          73  disk full, permission
    ├── Interrupted          75  stopped by a signal or a lock; run again to resume
    └── GateRefused          78  the model was not good enough to publish

0 is done, 2 is usage (Click's own), 70 is a bug (any other exception).

They are Click's exceptions because Feast's own commands are Click's, and bidrec's stores run inside them: so `feast`,
too, ends with the one line and the exit code, and not with a traceback.
"""

import difflib
from collections.abc import Iterable

import click


class BidrecError(click.ClickException):
    """One clear line, and a hint that says what to do about it."""

    exit_code = 70

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} (hint: {self.hint})" if self.hint else self.message

    def format_message(self) -> str:
        return str(self)


class ConfigurationError(BidrecError):
    exit_code = 64


class ContractError(BidrecError):
    exit_code = 65


class InputMissing(BidrecError):
    exit_code = 66


class DependencyDown(BidrecError):
    exit_code = 69


class CannotWrite(BidrecError):
    exit_code = 73


class Interrupted(BidrecError):
    exit_code = 75


class GateRefused(BidrecError):
    exit_code = 78


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint for a name that is not known: the nearest one that is, if any is near."""
    near = nearest(name, known)
    return f"did you mean {near}?" if near else None


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like this one, if any is like it."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)
