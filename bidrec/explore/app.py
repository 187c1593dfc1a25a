"""The server: three pages and the downloads of a list. GET alone, nothing is written, nothing comes from elsewhere.

Reads   published/current through lists.py
"""

import io
from collections.abc import Callable, Collection
from datetime import datetime, tzinfo
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jinja2
import pyarrow as pa
from pyarrow import csv, parquet
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bidrec.errors import BidrecError, InputMissing
from bidrec.explore.lists import FOUND, LISTED, LONGEST, Filters, Listing, companies_of, notices_of, search
from bidrec.publishing.reasons import bids_in_words
from bidrec.reporting.templates import buyer, money, words

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
DOWNLOAD = {
    "notice": ("rank", "company_id", "name", "region", "bids", "last_bid_at", "score", "score_is", "why"),
    "company": (
        "rank",
        "notice_id",
        "title",
        "buyer",
        "unit",
        "place",
        "region",
        "value",
        "currency",
        "closes_at",
        "score",
        "score_is",
        "why",
    ),
}
"""Columns of a downloaded list: of a notice's, of a company's."""
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r")


def app(home: Path, names: Collection[str]) -> Starlette:
    """names: what the server is called, in small letters, beside localhost and any address."""
    pages = _Pages(home)
    return Starlette(
        routes=[
            Route("/", pages.start, methods=["GET"]),
            Route("/style.css", _style, methods=["GET"]),
            Route("/notice/{id:path}", pages.notice, methods=["GET"]),
            Route("/company/{id:path}", pages.company, methods=["GET"]),
        ],
        middleware=[Middleware(_Closed, names={*names, "localhost"})],
        exception_handlers={BidrecError: pages.refused, 404: pages.nowhere},
    )


class _Pages:
    """What the home has published, as pages and downloads."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.templates = jinja2.Environment(
            loader=jinja2.PackageLoader("bidrec.explore", "."), autoescape=True, undefined=jinja2.StrictUndefined
        )
        self.templates.filters |= {"time": _time, "buyer": buyer, "money": money, "words": words, "bids": bids_in_words}
        self.templates.globals |= {"longest": LONGEST, "listed": LISTED}

    def start(self, request: Request) -> Response:
        question = request.query_params.get("q", "")
        return self._page("search", question=question, found=search(self.home, question), most=FOUND)

    def notice(self, request: Request) -> Response:
        return self._list(request, "notice", companies_of)

    def company(self, request: Request) -> Response:
        return self._list(request, "company", notices_of)

    def refused(self, request: Request, error: Exception) -> Response:
        """What was not published is not here (404); what cannot be shown now it may show later (503)."""
        assert isinstance(error, BidrecError)
        if isinstance(error, InputMissing):
            return self._refusal(404, "That is not here", error.message, request.path_params.get("id", ""))
        return self._refusal(503, "That cannot be shown now", str(error))

    def nowhere(self, request: Request, error: Exception) -> Response:
        return self._refusal(404, "That is not here", "no page has this address")

    def _refusal(self, status: int, heading: str, message: str, id: str = "") -> Response:
        response = self._page("refused", heading=heading, message=message, id=id)
        response.status_code = status
        return response

    def _list(self, request: Request, kind: str, lists: Callable[[Path, str, Filters], Listing]) -> Response:
        key = request.path_params["id"]
        found = lists(self.home, key, Filters.of(request.query_params))
        ending = request.query_params.get("download")
        if ending in ("csv", "parquet"):
            return _download(found, kind, key, ending)
        return self._page("list", kind=kind, id=key, found=found, query=request.query_params, again=request.url.query)

    def _page(self, name: str, **facts: Any) -> HTMLResponse:
        return HTMLResponse(self.templates.get_template(f"{name}.html.jinja").render(**facts))


def _style(request: Request) -> Response:
    text = files("bidrec.explore").joinpath("explore.css").read_text(encoding="utf-8")
    return Response(text, media_type="text/css")


def _time(moment: datetime | None, zone: tzinfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}" if moment else "unknown"


class _Closed(BaseHTTPMiddleware):
    """Every answer has the headers, and who asks by a name that is none of ours gets none.

    A page elsewhere whose name is made to lead here would be asked by that name, and could then read all."""

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        super().__init__(app)
        self.names = names

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        if _is_ours(request.headers.get("host", ""), self.names):
            response = await call_next(request)
        else:
            response = PlainTextResponse("This is not the name of this server: bidrec explore --name NAME", 400)
        response.headers.update(HEADERS)
        return response


def _is_ours(host: str, names: Collection[str]) -> bool:
    """Whether a Host header, with or without a port, is one of the names, or an address, which leads nowhere else."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    try:
        ip_address(name)
    except ValueError:
        return name in names
    return True


def _download(found: Listing, kind: str, key: str, ending: str) -> Response:
    """The list as it is shown, filters and all. CSV for a spreadsheet: marked as UTF-8, and no cell is a formula."""
    columns = {name: [row[name] for row in found.rows] for name in DOWNLOAD[kind]}
    table = pa.table(columns | {kind: [key] * len(found.rows)})
    file = io.BytesIO()
    if ending == "csv":
        file.write("\ufeff".encode())
        csv.write_csv(plain(table), file)
    else:
        parquet.write_table(table, file)
    name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in key)
    headers = {"Content-Disposition": f'attachment; filename="{kind}-{name}.{ending}"'}
    media = "text/csv; charset=utf-8" if ending == "csv" else "application/vnd.apache.parquet"
    return Response(file.getvalue(), media_type=media, headers=headers)


def plain(table: pa.Table) -> pa.Table:
    """Text that a spreadsheet would take for a formula begins with an apostrophe."""

    def safe(column: pa.ChunkedArray) -> Any:
        if not pa.types.is_string(column.type):
            return column
        return pa.array(
            [f"'{cell}" if cell and cell.startswith(_FORMULA) else cell for cell in column.to_pylist()], pa.string()
        )

    return pa.table({name: safe(table[name]) for name in table.column_names})
