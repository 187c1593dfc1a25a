"""PostgreSQL through ADBC: one place that knows how to connect, and what may be said of an address.

Read by  sources/postgres.py (tables come in) and publishing/to_postgres.py (recommendations go out)

ADBC rather than DuckDB's postgres extension: it is the Apache project's own, and needs no binary that DuckDB would
download. A password never gets into a message (bidrec/operations/passwords.py).
"""

import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from bidrec.errors import CannotWrite, ConfigurationError, DependencyDown
from bidrec.operations.passwords import masked
from bidrec.sql.words import first_line

_OPTIONS = {
    "connect_timeout": 10,
    # A server that has vanished is noticed in two minutes: the system's own two hours are a night.
    "keepalives_idle": 60,
    "keepalives_interval": 10,
    "keepalives_count": 6,
}
"""libpq's, in seconds, where the address does not set them."""
_CANCEL_SECONDS = 3
"""How long the server has to take back a statement, before nobody waits for it any more."""
_T = TypeVar("_T")
_HOST = re.compile(r"(\[[0-9a-fA-F:]+\]|[\w.-]+)(:\d+)?")
"""One of several hosts that an address names, which are tried in turn."""
_TOLD = re.compile(r"\b(ERROR|FATAL|PANIC): ")
"""Of the driver's lines, that with what the server said."""
_AWAY = ("08", "28", "3D", "53300", "55P03", "57")
"""SQLSTATEs (or their classes): no connection, not let in, no such database, too many, a lock not got, shut down."""


@contextmanager
def connected(url: str, *, variable: str, to_write: bool = False) -> Iterator[tuple[Any, Any]]:
    """Yield (connection, cursor) in one transaction, which only the block's own commit() keeps.

    `variable`: the environment variable that holds the address, for the hints. Raises DependencyDown (69) where the
    server cannot be reached, refuses, or goes away; ConfigurationError (64) on an address of another kind; and, where
    the block is `to_write`, CannotWrite (73) for what the server refuses to do.
    """
    from adbc_driver_manager import Error
    from adbc_driver_postgresql import dbapi

    where = describe(url, variable)
    try:
        with dbapi.connect(with_options(url), autocommit=False) as connection, connection.cursor() as cursor:
            yield connection, cursor
    except Error as error:
        reason, state = said(error, url), sqlstate(error)
        # Not `from error`: its text may hold the address, and a traceback would print it.
        if to_write and state and not state.startswith(_AWAY):
            raise CannotWrite(
                f"PostgreSQL at {where} does not take it: {reason}", hint="check the user's rights and what is there"
            ) from None
        raise DependencyDown(
            f"PostgreSQL at {where} cannot be {'written' if to_write else 'read'}: {reason}",
            hint=f"check {variable}, the server and the user's rights",
        ) from None


def stoppable(work: Callable[[Callable[[Any], None]], _T]) -> _T:
    """What `work` returns or raises. It is done in a thread: Python meets a signal in its main thread alone, and not
    while the driver waits there for a server, as for a lock that another holds, or for a view's first row.

    `work` is given what it tells its connection to. A signal ends the waiting, and asks the server to stop.
    """
    opened: list[Any] = []
    done: Future[_T] = Future()

    def run() -> None:
        try:
            done.set_result(work(opened.append))
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return done.result()
    except BaseException:
        if opened and not done.done():
            threading.Thread(target=_cancel, args=(opened[-1],), daemon=True).start()
            wait([done], _CANCEL_SECONDS)
        raise


def _cancel(connection: Any) -> None:
    from adbc_driver_manager import Error

    with suppress(Error):  # it was over a moment ago, or there is no way to the server
        connection.adbc_cancel()


def with_options(url: str) -> str:
    """The address with what it does not say about how to connect. Text comes and goes as Arrow has it, in UTF-8."""
    url = url.strip()  # a secret that was made from a file ends with a line end
    options = "&".join(f"{name}={value}" for name, value in _OPTIONS.items() if f"{name}=" not in url)
    # Of two values libpq takes the last.
    return f"{url}{'&' if '?' in url else '?'}{options}&client_encoding=UTF8"


def describe(url: str, variable: str = "BIDREC_SOURCE_URL") -> str:
    """host:port/database of the address: what may be said about it. Raises ConfigurationError (64)."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        hosts = parts.netloc.rpartition("@")[2]
        several = "," in hosts and all(_HOST.fullmatch(host) for host in hosts.split(","))
        port = None if several else parts.port
    except ValueError:
        parts, hosts, several, port = urlsplit(""), "", False, None
    # A '#', '?' or '/' in the password would move its rest to where it would be shown, or its beginning to the port;
    # what follows an '@' in it libpq takes for the host, and names it when it does not find it.
    moved = "@" in parts.path + parts.fragment or ("@" in parts.query and "@" not in parts.netloc)
    moved |= parts.netloc.count("@") > 1
    if parts.scheme not in ("postgresql", "postgres") or moved:
        raise ConfigurationError(
            f"{variable} is not an address such as postgresql://user@host:5432/database",
            hint="write special characters of the password as %XX",
        )
    if several:
        return f"{hosts}{parts.path}"
    named = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if "service" in named and not hosts:
        return f"service {named['service']}{parts.path}"
    # What the address leaves out libpq takes from the environment.
    host = parts.hostname or named.get("host") or os.environ.get("PGHOST", "localhost")
    return f"{host}:{port or named.get('port') or os.environ.get('PGPORT', '5432')}{parts.path}"


def sqlstate(error: Any) -> str:
    """The five letters by which the server names what went wrong; "" where it could say nothing any more."""
    return (error.sqlstate or "").strip("\0")


def said(error: BaseException, url: str) -> str:
    """What the server said, in one line and without the password: the driver's message may begin with a long query."""
    told = next((line for line in str(error).splitlines() if _TOLD.search(line)), first_line(error))
    # Its own words, whatever their language; of who was not let in there are none apart.
    own = dict(getattr(error, "details", None) or ()).get(b"PG_DIAG_MESSAGE_PRIMARY")
    return masked(own.decode(errors="replace").splitlines()[0] if own else told.removeprefix("': "), url)
