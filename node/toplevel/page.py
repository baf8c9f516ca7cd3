"""Page: the files of the live page, which come with the package and ask nobody but this listener.

`POLICY` holds the browser to that.
"""

from http import HTTPStatus
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_TYPES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "panels.js": "text/javascript",
    "words.js": "text/javascript",
}
_START = "page.html"


class Page:
    """The page and its files, read once."""

    def __init__(self) -> None:
        static = files("node.toplevel") / "static"
        self._files = {name: (static / name).read_bytes() for name in (_START, *_TYPES)}

    async def page(self, _request: Request) -> Response:
        """GET `/`."""
        return Response(self._files[_START], HTTPStatus.OK, _HEADERS, media_type="text/html")

    async def file(self, request: Request) -> Response:
        """GET `/static/{name}`."""
        name = request.path_params["name"]
        if name not in _TYPES:
            return Response(b"", HTTPStatus.NOT_FOUND, _HEADERS)
        return Response(self._files[name], HTTPStatus.OK, _HEADERS, media_type=_TYPES[name])
