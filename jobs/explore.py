"""bidrec explore: look through what was published in a browser."""

import errno
import socket

import click

from bidrec.config import Config
from jobs.options import command
from jobs.output import Result


@command
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 lets everybody in.")
@click.option(
    "--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on; 0: any free one."
)
@click.option("--name", "names", multiple=True, help="A name it is asked by, besides this machine's own.")
def explore(config: Config, host: str, port: int, names: tuple[str, ...]) -> Result:
    """Serve what was published as a page on this machine, read-only, until Ctrl-C.

    Search a notice or company by words or number; see its list with the reasons, filter and download it.
    """
    import uvicorn

    from bidrec.errors import DependencyDown
    from bidrec.explore.app import app
    from bidrec.operations import log
    from bidrec.operations.signals import until_stopped
    from bidrec.publishing.recommend import Published

    Published(config.home_path)  # says at once that nothing is published
    try:
        listening = socket.create_server((host, port))
    except OSError as error:
        other = "--port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "--host"
        raise DependencyDown(
            f"cannot listen on {host}:{port}: {error.strerror}", hint=f"give another {other}"
        ) from error
    url = f"http://{host}:{listening.getsockname()[1]}/"
    pages = app(config.home_path, {name.lower() for name in (host, socket.gethostname(), *names)})
    server = uvicorn.Server(uvicorn.Config(pages, log_level="warning", server_header=False))
    log.get("explore").info("listening", url=url)
    with until_stopped():
        server.run(sockets=[listening])
    return Result(data={"url": url}, text="")
