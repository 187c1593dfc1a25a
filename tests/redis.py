"""A real Redis server for tests, from the binary on this machine, in a temporary folder and in memory only."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

PASSWORD = "s3cret-Passw0rd"


def missing() -> str | None:
    """Why no server can be started here, or None."""
    if shutil.which("redis-server") is None:
        return "no Redis server on this machine (Debian: apt-get install redis-server)"
    return None


@contextmanager
def server() -> Iterator[str]:
    """Start a server on a free loopback port, with a password; yield Feast's connection string; stop it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tempfile.mkdtemp(prefix="bidrec-redis-")
    settings = {
        "port": port,
        "bind": "127.0.0.1",
        "requirepass": PASSWORD,
        "dir": folder,
        "save": "",
        "daemonize": "no",
    }
    command = ["redis-server", *(word for name, value in settings.items() for word in (f"--{name}", str(value)))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        _wait_until_it_answers(port, process)
        yield f"127.0.0.1:{port},password={PASSWORD}"
    finally:
        process.terminate()
        process.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_it_answers(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except ConnectionRefusedError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
    raise RuntimeError(f"redis-server does not answer on port {port}")
