"""Routes: which path goes to which module; the only table, in the order the paths are tried.

Law of the order: `/{handle}` takes everything, so it is last; the first segments before it are reserved.
"""

import re
from collections.abc import Callable, Sequence
from importlib.metadata import version

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp

from node.web import (
    handle_operations,
    job_operations,
    log_operations,
    login_operations,
    lookup_operations,
    operations,
)
from node.web.audit import AuditApi
from node.web.cors import CrossOrigin
from node.web.docs import Docs
from node.web.exports import ExportApi
from node.web.health import Check, Health
from node.web.jobs import JobsApi
from node.web.operations import JsonObject
from node.web.problems import CATCH_ALL, install
from node.web.receipts import Receipts
from node.web.records import RecordsApi
from node.web.reverse import ReverseApi
from node.web.row import Endpoint, Row, Section
from node.web.sources import SourcesApi
from node.web.status import StatusApi, status_section
from node.web.straight import Straight
from node.web.tokens import TokensApi
from resolver.frontends.bulk import BulkApi
from resolver.frontends.handles import HandlesApi
from resolver.frontends.listing import ListingApi
from resolver.frontends.proxy import Proxy
from resolver.frontends.sessions import SessionsApi, Sign, VerificationsApi
from resolver.frontends.tunnel import Tunnel
from resolver.frontends.v1 import ResolveApi
from resolver.frontends.writes import WritesApi
from resolver.hot.http import COMPRESSED_FROM_BYTES, HotHttp
from resolver.httplogin import HttpLogin
from resolver.jsonapi import Desk
from resolver.recorder import HttpCount
from resolver.registrar import Registrar
from resolver.responder import Responder
from resolver.service import Resolver

GZIP_LEVEL = 5
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Readiness = Callable[[], list[Check]]


def build_app(
    service: Resolver,
    responder: Responder,
    count: HttpCount,
    readiness: Readiness,
    *,
    registrar: Registrar,
    login: HttpLogin,
    reverse: ReverseApi | None = None,
    hot: HotHttp | None = None,
    sign: Sign | None = None,
    audit: AuditApi | None = None,
    status: StatusApi | None = None,
) -> FastAPI:
    """Return the application of the public listener; it tells `hot` the answers that can be given again.

    `sign` proves this server to a client that opens a session.
    """
    app = _bare_app()
    desk = Desk(login)
    writes = WritesApi(desk, service, registrar)
    _add(app, _handle_rows(desk, writes, service, registrar, count, hot))
    _add(app, _login_rows(login, sign))
    _add(app, _lookup_rows(service, count, reverse))
    if audit is not None:
        _add(app, _log_rows(audit))
    if status is not None:
        _add(app, status_section(status).rows)
    _add(app, _public_rows(service, responder, count, readiness))
    app.add_middleware(Receipts)
    app.add_middleware(GZipMiddleware, minimum_size=COMPRESSED_FROM_BYTES, compresslevel=GZIP_LEVEL)
    app.add_middleware(CrossOrigin)
    app.add_middleware(
        Straight,
        endpoints={"PUT": writes.put, "DELETE": writes.delete},
        compressed=_compressed,
        compressed_from=COMPRESSED_FROM_BYTES,
    )
    return app


def _compressed(app: ASGIApp) -> ASGIApp:
    return GZipMiddleware(app, minimum_size=COMPRESSED_FROM_BYTES, compresslevel=GZIP_LEVEL)


def build_admin_app(
    collector_text: Callable[[], bytes],
    readiness: Readiness,
    *,
    records: RecordsApi | None = None,
    tokens: TokensApi | None = None,
    jobs: JobsApi | None = None,
    exports: ExportApi | None = None,
    audit: AuditApi | None = None,
    sources: SourcesApi | None = None,
    sections: Sequence[Section] = (),
) -> FastAPI:
    """Return the application of the admin listener; `collector_text` gives the metrics of all workers.

    `sections` are rows that workers do not have, such as those of enterprises (`object_section`).
    """
    app = _bare_app()

    async def metrics(_request: Request) -> Response:
        return Response(collector_text(), headers={"Content-Type": METRICS_TYPE})

    health = Health(readiness)
    rows = (
        Row("GET", "/metrics", metrics, operations.METRICS),
        Row("GET", "/healthz", health.alive, operations.ALIVE),
        Row("GET", "/readyz", health.ready, operations.READY),
    )
    _add(app, rows)
    if records is not None:
        _add(app, _record_rows(records))
    if tokens is not None:
        _add(app, _token_rows(tokens))
    if jobs is not None and exports is not None:
        _add(app, _bulk_rows(jobs, exports))
    if audit is not None:
        _add(app, _log_rows(audit))
    if sources is not None:
        _add(app, _source_rows(sources))
    for section in sections:
        _add(app, section.rows)
    _describe(app, [section.schemas for section in sections])
    return app


def _source_rows(sources: SourcesApi) -> tuple[Row, ...]:
    return (
        Row("GET", "/v1/sources", sources.list, log_operations.LIST_SOURCES),
        Row("HEAD", "/v1/sources", sources.list),
    )


def _log_rows(audit: AuditApi) -> tuple[Row, ...]:
    """The log of what was counted, on both listeners."""
    tile, head = "/v1/log/tile/{path:path}", "/v1/log/heads/{name}"
    leaf, receipt = "/v1/log/leaf/{index}", "/v1/log/receipt/{name}"
    index = "/v1/log/index/{path:path}"
    return (
        Row("GET", "/v1/log/checkpoint", audit.checkpoint, log_operations.SHOW_CHECKPOINT),
        Row("HEAD", "/v1/log/checkpoint", audit.checkpoint),
        Row("GET", tile, audit.tile, log_operations.SHOW_TILE),
        Row("HEAD", tile, audit.tile),
        Row("GET", head, audit.head, log_operations.SHOW_HEAD),
        Row("HEAD", head, audit.head),
        Row("GET", index, audit.index, log_operations.SHOW_INDEX),
        Row("HEAD", index, audit.index),
        Row("GET", leaf, audit.leaf, log_operations.PROVE_LEAF),
        Row("HEAD", leaf, audit.leaf),
        Row("GET", receipt, audit.receipt, log_operations.PROVE_RECORD),
        Row("HEAD", receipt, audit.receipt),
    )


def _record_rows(records: RecordsApi) -> tuple[Row, ...]:
    one = "/v1/records/{identifier:path}"
    history, revert = "/v1/history/{identifier:path}", "/v1/revert/{identifier:path}"
    return (
        Row("GET", "/v1/records", records.list, operations.LIST_RECORDS),
        Row("HEAD", "/v1/records", records.list),
        Row("GET", one, records.show, operations.SHOW_RECORD),
        Row("HEAD", one, records.show),
        Row("PUT", one, records.put, operations.PUT_RECORD),
        Row("PATCH", one, records.patch, operations.PATCH_RECORD),
        Row("DELETE", one, records.delete, operations.DELETE_RECORD),
        Row("GET", history, records.history, operations.SHOW_HISTORY),
        Row("HEAD", history, records.history),
        Row("POST", revert, records.revert, operations.REVERT_RECORD),
    )


def _token_rows(tokens: TokensApi) -> tuple[Row, ...]:
    return (
        Row("GET", "/v1/tokens", tokens.list, login_operations.LIST_TOKENS),
        Row("HEAD", "/v1/tokens", tokens.list),
        Row("POST", "/v1/tokens", tokens.make, login_operations.MAKE_TOKEN),
        Row("DELETE", "/v1/tokens/{token}", tokens.revoke, login_operations.REVOKE_TOKEN),
    )


def _bulk_rows(jobs: JobsApi, exports: ExportApi) -> tuple[Row, ...]:
    one, results = "/v1/jobs/{job}", "/v1/jobs/{job}/results"
    return (
        Row("GET", "/v1/jobs", jobs.list, job_operations.LIST_JOBS),
        Row("HEAD", "/v1/jobs", jobs.list),
        Row("POST", "/v1/jobs", jobs.submit, job_operations.SUBMIT_JOB),
        Row("GET", one, jobs.show, job_operations.SHOW_JOB),
        Row("HEAD", one, jobs.show),
        Row("DELETE", one, jobs.cancel, job_operations.CANCEL_JOB),
        Row("GET", results, jobs.results, job_operations.SHOW_RESULTS),
        Row("GET", "/v1/export", exports.export, job_operations.EXPORT),
        Row(
            "GET",
            "/v1/export/manifests/{export}",
            exports.manifest,
            job_operations.SHOW_MANIFEST,
        ),
    )


def _handle_rows(
    desk: Desk,
    writes: WritesApi,
    service: Resolver,
    registrar: Registrar,
    count: HttpCount,
    hot: HotHttp | None,
) -> tuple[Row, ...]:
    """The Handle JSON API."""
    listing = ListingApi(desk, service, registrar)
    handles = HandlesApi(desk, service, registrar, count, listing.handles, hot)
    return (
        Row("GET", "/api/handles/{handle:path}", handles.show, handle_operations.SHOW_HANDLE),
        Row("POST", "/api/handles/{handle:path}", handles.show, handle_operations.POST_HANDLE),
        Row("HEAD", "/api/handles/{handle:path}", handles.show),
        Row("PUT", "/api/handles/{handle:path}", writes.put, handle_operations.PUT_HANDLE),
        Row("DELETE", "/api/handles/{handle:path}", writes.delete, handle_operations.DELETE_HANDLE),
        Row("GET", "/api/handles", handles.show, handle_operations.LIST_HANDLES),
        Row("HEAD POST", "/api/handles", handles.show),
        Row("GET", "/api/site", handles.site, handle_operations.SHOW_SITE),
        Row("HEAD", "/api/site", handles.site),
        Row("GET HEAD", "/api/site/", handles.site),
        Row("GET", "/api/prefixes", listing.prefixes, handle_operations.LIST_PREFIXES),
        Row("POST", "/api/prefixes", listing.prefixes, handle_operations.HOME_PREFIX),
        Row("DELETE", "/api/prefixes", listing.prefixes, handle_operations.UNHOME_PREFIX),
        Row("HEAD", "/api/prefixes", listing.prefixes),
        Row("GET HEAD POST DELETE", "/api/prefixes/", listing.prefixes),
        Row("POST DELETE", "/api/prefixes/{prefix:path}", listing.prefixes),
    )


def _login_rows(login: HttpLogin, sign: Sign | None) -> tuple[Row, ...]:
    """Sessions, and checking keys for other servers."""
    sessions, verifications = SessionsApi(login, sign), VerificationsApi(Desk(login), login)
    this, key = "/api/sessions/this", "/api/verifications/{handle:path}"
    return (
        Row("POST", "/api/sessions", sessions.create, login_operations.CREATE_SESSION),
        Row("POST", "/api/sessions/", sessions.create),
        Row("GET", this, sessions.show, login_operations.SHOW_SESSION),
        Row("PUT", this, sessions.answer, login_operations.ANSWER_SESSION),
        Row("POST", this, sessions.answer),
        Row("DELETE", this, sessions.end, login_operations.END_SESSION),
        Row("GET", key, verifications.verify, login_operations.VERIFY),
        Row("POST", key, verifications.verify),
    )


def _lookup_rows(
    service: Resolver, count: HttpCount, reverse: ReverseApi | None
) -> tuple[Row, ...]:
    """Look-ups of many identifiers at once, and in reverse."""
    bulk = BulkApi(service, count)
    many = Row("POST", "/v1/resolve", bulk.resolve, lookup_operations.RESOLVE_MANY)
    if reverse is None:
        return (many,)
    return (
        many,
        Row("GET", "/hrls/handles", reverse.search, lookup_operations.SEARCH),
        Row("HEAD", "/hrls/handles", reverse.search),
        Row("GET HEAD", "/hrls/handles/", reverse.search),
    )


def _public_rows(
    service: Resolver,
    responder: Responder,
    count: HttpCount,
    readiness: Readiness,
) -> tuple[Row, ...]:
    resolve = ResolveApi(service, count)
    tunnel, docs, health = Tunnel(responder, count), Docs(), Health(readiness)
    page = _page_or_message(Proxy(service, count), tunnel)
    return (
        Row("GET", "/v1/resolve/{identifier:path}", resolve.show, operations.RESOLVE),
        Row("HEAD", "/v1/resolve/{identifier:path}", resolve.show),
        Row("GET", "/healthz", health.alive, operations.ALIVE),
        Row("GET", "/readyz", health.ready, operations.READY),
        Row("GET HEAD", "/docs", docs.page),
        Row("GET HEAD", "/docs/{name}", docs.file),
        Row("GET HEAD", "/robots.txt", _robots),
        Row("GET HEAD", "/favicon.ico", _no_icon),
        Row("GET", CATCH_ALL, page, operations.PROXY),
        Row("HEAD POST", CATCH_ALL, page),
    )


def _page_or_message(proxy: Proxy, tunnel: Tunnel) -> Endpoint:
    """A POST to any path may be a native message; all else is for the proxy."""

    async def answer(request: Request) -> Response:
        if request.method == "POST" and tunnel.takes(request):
            return await tunnel.answer(request)
        return await proxy.show(request)

    return answer


async def _robots(_request: Request) -> Response:
    """Robots may follow links, but not read the interfaces."""
    return Response(
        "User-agent: *\nDisallow: /api/\nDisallow: /v1/\nDisallow: /hrls/\n",
        media_type="text/plain",
    )


async def _no_icon(_request: Request) -> Response:
    return Response(status_code=204, headers={"Cache-Control": "public, max-age=604800"})


def _bare_app() -> FastAPI:
    """An application without FastAPI's own pages, which load from other hosts."""
    app = FastAPI(
        title="idnode",
        version=version("idnode"),
        description=operations.ABOUT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    install(app)
    return app


def _describe(app: FastAPI, named: Sequence[JsonObject]) -> None:
    """Put schemas into the OpenAPI document, for its operations to name."""
    make = app.openapi

    def document() -> JsonObject:
        found = make()
        schemas = found.setdefault("components", {}).setdefault("schemas", {})
        for each in named:
            schemas.update(each)
        return found

    app.openapi = document  # type: ignore[method-assign]  # the framework's own way to extend it


def _add(app: FastAPI, rows: tuple[Row, ...]) -> None:
    for row in rows:
        operation = row.operation
        app.add_api_route(
            row.path,
            row.endpoint,
            methods=row.methods.split(),
            response_model=None,
            status_code=operation.usual_status if operation else None,
            summary=operation.summary if operation else None,
            openapi_extra=operation.extra() if operation else None,
            include_in_schema=operation is not None,
        )
    for route in app.routes:
        if isinstance(route, Route):  # names may hold line ends, which `.` does not match
            route.path_regex = re.compile(route.path_regex.pattern, re.DOTALL)
