"""Docs: the OpenAPI page at `/docs`, which needs no other host; its scripts and styles come with the package.

Plants are offline.  The policy sent with the page lets the browser load from this server only, so a page that would
reach out fails in every browser, not just where there is no network.
"""

from importlib.resources import files

from fastapi import HTTPException, Request
from fastapi.responses import Response

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)  # swagger-ui styles its elements one by one, hence 'unsafe-inline' for styles
MAX_AGE_SECONDS = 3_600

_PAGE = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>idnode API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css"><link rel="icon" href="/docs/favicon.png"></head>
<body><div id="page"></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body></html>
"""
_START = b"""SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#page", deepLinking: true, validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset]
});
"""
_SHIPPED = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon.png": "image/png",
}


class Docs:
    """The page and its files."""

    def __init__(self) -> None:
        static = files("fastapi_offline") / "static"
        self._files = {name: (static / name).read_bytes() for name in _SHIPPED}
        self._files["start.js"] = _START
        self._types = {**_SHIPPED, "start.js": "text/javascript"}

    async def page(self, _request: Request) -> Response:
        """GET `/docs`."""
        headers = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
        return Response(_PAGE, 200, headers, media_type="text/html")

    async def file(self, request: Request) -> Response:
        """GET `/docs/{name}`: one of the page's files."""
        name = request.path_params["name"]
        if name not in self._files:
            raise HTTPException(404)
        headers = {
            "Cache-Control": f"public, max-age={MAX_AGE_SECONDS}",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(self._files[name], 200, headers, media_type=self._types[name])
