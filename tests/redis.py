"""A real Redis server for tests, from the binary on this machine, in a temporary folder."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis

PASSWORD = "s3cret-Passw0rd"


def missing() -> str | None:
    """Why no server can be started here, or None."""
    if shutil.which("redis-server") is None:
        return "no Redis server on this machine (Debian: apt-get install redis-server)"
    return None


class Server:
    """A server on a free loopback port, with a password, that keeps what it holds in its folder."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder = tempfile.mkdtemp(prefix="bidrec-redis-")
        self.start()

    @property
    def address(self) -> str:
        """Feast's connection string."""
        return f"127.0.0.1:{self.port},password={PASSWORD}"

    def start(self) -> None:
        settings = {
            "port": self.port,
            "bind": "127.0.0.1",
            "requirepass": PASSWORD,
            "dir": self.folder,
            "save": "",
            "appendonly": "yes",
            "appendfsync": "no",
            "daemonize": "no",
        }
        command = ["redis-server", *(word for name, value in settings.items() for word in (f"--{name}", str(value)))]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _wait_until_it_answers(self.port, self._process)

    def writes(self) -> int:
        """How many rows it was told to keep since it started."""
        with redis.Redis(port=self.port, password=PASSWORD) as client:
            return client.info("commandstats")["cmdstat_hset"]["calls"]

    def kill(self) -> None:
        """SIGKILL; `start` brings it back with what it held."""
        self._process.kill()
        self._process.wait(timeout=30)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def server() -> Iterator[Server]:
    """Start a server; stop it and delete what it held afterwards."""
    running = Server()
    try:
        yield running
    finally:
        running.stop()


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
