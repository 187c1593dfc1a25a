"""A real PostgreSQL server for tests, from the binaries on this machine, in a temporary folder."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

PASSWORD = "s3cret-Passw0rd"


@dataclass(frozen=True)
class Server:
    port: int
    url: str
    """postgresql:// address of the superuser, with its password."""

    @property
    def variables(self) -> dict[str, str]:
        """The same for libpq, as PG* environment variables."""
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGDATABASE": "postgres",
            "PGUSER": "bidrec",
            "PGPASSWORD": PASSWORD,
            "PGSSLMODE": "prefer",
        }


def missing() -> str | None:
    """Why no server can be started here, or None."""
    if _bin() is None:
        return "no PostgreSQL server on this machine (Debian: apt-get install postgresql)"
    if os.getuid() == 0 and not (shutil.which("setpriv") and _unprivileged()):
        return "PostgreSQL refuses to run as root, and there is no other user to run it as"
    return None


@contextmanager
def server() -> Iterator[Server]:
    """Start a server on a free loopback port, with a password; stop and delete it afterwards."""
    binaries = _bin()
    assert binaries is not None
    folder = Path(tempfile.mkdtemp(prefix="bidrec-postgres-"))
    (folder / "password").write_text(PASSWORD)
    if os.getuid() == 0:
        for path in (folder, folder / "password"):
            shutil.chown(path, _unprivileged() or "")
    data = folder / "data"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    initdb = ["-U", "bidrec", "-A", "scram-sha-256", f"--pwfile={folder / 'password'}", "-E", "UTF8", "--no-sync"]
    initdb.append("--lc-messages=C")  # what it says is looked for in English, also on a Korean machine
    settings = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c timezone=UTC"
    _run([str(binaries / "initdb"), "-D", str(data), *initdb], folder)
    _run([str(binaries / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log"), "-o", settings, "start"], folder)
    try:
        yield Server(port=port, url=f"postgresql://bidrec:{PASSWORD}@127.0.0.1:{port}/postgres")
    finally:
        _run([str(binaries / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop"], folder)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def server_with_vectors() -> Iterator[Server]:
    """A server that can search vectors; where there is none, the test is skipped."""
    if reason := missing():
        pytest.skip(reason)
    with server() as started:
        with psycopg.connect(started.url) as connection:
            if not connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'").fetchall():
                pytest.skip("this PostgreSQL has no pgvector (Debian: apt-get install postgresql-17-pgvector)")
            connection.execute("CREATE EXTENSION vector")
        yield started


def _bin() -> Path | None:
    """The folder of the newest server's binaries."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = shutil.which("initdb") if not debian else debian[-1]
    return Path(found).resolve().parent if found else None


def _unprivileged() -> str | None:
    names = {user.pw_name for user in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), None)


def _run(command: list[str], folder: Path) -> None:
    if os.getuid() == 0:
        user = pwd.getpwnam(_unprivileged() or "")
        command = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *command]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[-1]} failed: {done.stderr}")
