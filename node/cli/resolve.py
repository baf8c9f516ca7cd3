"""`idnode resolve`: ask a node for an identifier, by any of its three ways, and show what it says."""

import argparse
import asyncio
import secrets
from urllib.parse import urlsplit

import orjson

from node import config
from node.address import Endpoint, loopback_if_any, read_endpoints
from node.cli.output import Form, plain, print_rows
from node.config import Settings
from node.errors import Kind, RegistryError
from node.process.running import find_running
from node.tls import is_on, own_client_context
from resolver.client import NodeUnreachable, Query, Reply, ask_http, ask_tcp, ask_udp, wire_name
from resolver.handlejson import values_to_json
from resolver.identifier import IdentifierError, Scheme
from resolver.schemes import parse
from resolver.wire import ResponseCode

WAYS = ("tcp", "udp", "http")

_EPILOG = """\
examples:
  idnode resolve 88.118.8/item-1
  idnode resolve --over http --type URL --json 10.1000/182
  idnode resolve --scheme gs1 --server 192.0.2.7:2641 09506000134352

exit codes:
  0  found
  2  wrong use, or not an identifier
  3  no such record or values there; or another server has it, which is then named
  5  the values are not public
  7  no answer, or the server is busy or at fault
"""

_REFERRALS = (ResponseCode.SERVICE_REFERRAL, ResponseCode.PREFIX_REFERRAL)
_FAILURES: dict[int, tuple[Kind, str]] = {
    ResponseCode.SERVER_BUSY: (Kind.UNAVAILABLE, "the server is busy; ask again"),
    ResponseCode.SERVER_BACKUP: (Kind.UNAVAILABLE, "the server is being backed up; ask again"),
    ResponseCode.HANDLE_NOT_FOUND: (Kind.NOT_FOUND, "no such identifier is registered there"),
    ResponseCode.INVALID_HANDLE: (Kind.INVALID, "the server cannot read the identifier"),
    ResponseCode.VALUES_NOT_FOUND: (Kind.NOT_FOUND, "the record has no such public values"),
    ResponseCode.SERVER_NOT_RESPONSIBLE: (Kind.NOT_FOUND, "its prefix is not served there"),
    ResponseCode.SERVICE_REFERRAL: (Kind.NOT_FOUND, "another server has it: the site above"),
    ResponseCode.PREFIX_REFERRAL: (Kind.NOT_FOUND, "other servers have its prefix: see above"),
    ResponseCode.INSUFFICIENT_PERMISSIONS: (Kind.FORBIDDEN, "the values are not public"),
    ResponseCode.AUTHENTICATION_NEEDED: (Kind.FORBIDDEN, "the values are not public"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the verb takes."""
    parser.epilog = _EPILOG
    parser.add_argument("identifier", help="in any spelling: 88.118.8/x, oid:1.2.156.1, (01)0950…")
    parser.add_argument("--scheme", choices=[*Scheme], help="its scheme; detected when not given")
    parser.add_argument("--over", choices=WAYS, default="tcp", help="how to ask; default: tcp")
    parser.add_argument(
        "--server", metavar="HOST:PORT", help="whom to ask, for http also a URL; default: this node"
    )
    parser.add_argument(
        "--type", action="append", default=[], help="values of this type; repeatable"
    )
    parser.add_argument(
        "--index", action="append", type=int, default=[], help="values with this index; repeatable"
    )
    parser.add_argument("--auth", action="store_true", help="past all caches")
    parser.add_argument("--json", action="store_true", help="print the answer as Handle JSON")


def run(arguments: argparse.Namespace) -> int:
    """Ask, show, and return 0 when values were found.  Raises RegistryError for everything else."""
    query = _query(arguments)
    try:
        reply = asyncio.run(_ask(arguments.over, arguments.server, query))
    except NodeUnreachable as error:
        raise RegistryError(Kind.UNAVAILABLE, str(error)) from error
    if arguments.json:
        print(_json(query, reply))
    elif reply.values:
        _show(arguments.identifier, reply)
    if reply.code == ResponseCode.SUCCESS:
        return 0
    raise _failure(reply)


def _query(arguments: argparse.Namespace) -> Query:
    scheme = Scheme(arguments.scheme) if arguments.scheme else None
    try:
        identifier = parse(arguments.identifier, scheme)
    except IdentifierError as error:
        raise RegistryError(Kind.INVALID, f"{arguments.identifier!r}: {error}") from error
    if any(not 0 <= index < 2**31 for index in arguments.index):
        raise RegistryError(Kind.INVALID, "--index must be a number from 0 to 2147483647")
    types = tuple(name.encode() for name in arguments.type)
    return Query(wire_name(identifier), types, tuple(arguments.index), arguments.auth)


async def _ask(way: str, server: str | None, query: Query) -> Reply:
    if way == "http":
        return await (_ask_own(query) if server is None else ask_http(_base_url(server), query))
    host, port = _endpoint(server) if server else _reachable(_running().native_listen)
    ask = ask_tcp if way == "tcp" else ask_udp
    return await ask(host, port, query, secrets.randbits(32))


async def _ask_own(query: Query) -> Reply:
    """Ask the node that runs here over HTTP; over TLS its own certificate is believed."""
    settings = _running()
    address = _reachable(settings.http_listen)
    if not is_on(settings):
        return await ask_http(f"http://{address}", query)
    return await ask_http(f"https://{address}", query, own_client_context(settings))


def _base_url(server: str) -> str:
    if "://" not in server:
        return f"http://{_endpoint(server)}"
    parts = urlsplit(server)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise RegistryError(Kind.INVALID, f"--server {server}: must begin with http:// or https://")
    return server.rstrip("/")


def _endpoint(text: str) -> Endpoint:
    try:
        return read_endpoints(text)[0]
    except ValueError as error:
        raise RegistryError(Kind.INVALID, f"--server {text}: {error}") from error


def _running() -> Settings:
    """Return the settings of the node that runs here, else those that are set."""
    settings = config.load()
    return find_running(settings) or settings


def _reachable(listen: tuple[Endpoint, ...]) -> Endpoint:
    return Endpoint(loopback_if_any(listen[0].host), listen[0].port)


def _failure(reply: Reply) -> RegistryError:
    kind, sentence = _FAILURES.get(
        reply.code, (Kind.UNAVAILABLE, f"the server answers with code {reply.code}")
    )
    if reply.code in _REFERRALS and not reply.values:
        sentence = "another server has it, but its site is not told"
    told = f" ({plain(reply.message)})" if reply.message else ""
    return RegistryError(kind, sentence + told)


def _json(query: Query, reply: Reply) -> str:
    body: dict[str, object] = {
        "responseCode": reply.code,
        "handle": query.handle.decode(errors="replace"),
    }
    if reply.message:
        body["message"] = reply.message
    if reply.referral:
        body["referralHandle"] = reply.referral.decode(errors="replace")
    body["values"] = orjson.loads(values_to_json(reply.values))
    return orjson.dumps(body, option=orjson.OPT_INDENT_2).decode()


def _show(identifier: str, reply: Reply) -> None:
    rows = [
        (
            value["index"],
            value["type"],
            _data(value["data"]["value"]),
            value["ttl"],
            value.get("timestamp", ""),
        )
        for value in orjson.loads(values_to_json(reply.values))
    ]
    columns = ("index", "type", "data", "ttl", "last changed")
    title = reply.referral.decode(errors="replace") or identifier
    print_rows(Form.TABLE, columns, rows, title=title)


def _data(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
