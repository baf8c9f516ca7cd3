"""`idnode token`: API tokens, made, listed and revoked in the database itself; for who runs the node."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable

from node import config
from node.cli.output import Form, add_output_argument, print_json, print_rows
from node.errors import Kind, RegistryError
from node.process.running import with_servers
from node.registry.tokens import MAX_DAYS, USUAL_DAYS, TokenOrder, Tokens, read_scopes
from node.store.database import Database, StoreError, StoreUnavailable
from node.store.tokens import TokenRow
from node.web.tokens import show_token
from resolver.registrar import Scope

COLUMNS = ("id", "name", "owner", "scopes", "prefixes", "expires", "revoked")

_EPILOG = """\
A token is sent as `Authorization: Bearer idnt_…` and acts for its owner, within its scopes and
prefixes.  It is shown once, when it is made; keep it like a password.

examples:
  idnode token make --name press-line-3 --owner 300:88.118.8/ADMIN --scope write --prefix 88.118.8
  idnode token list
  idnode token revoke press-line-3

exit codes:
  0  done
  2  wrong use
  3  no such token
  7  the database is not available
"""

Act = Callable[[Tokens, argparse.Namespace], Awaitable[None]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the verb takes."""
    parser.epilog = _EPILOG
    words = parser.add_subparsers(dest="word", metavar="WORD", title="words", required=True)
    made = words.add_parser("make", help="make a token, and show it this once")
    made.add_argument(
        "--name", required=True, help="what it is for; it is listed and revoked by it"
    )
    made.add_argument(
        "--owner", default="", metavar="INDEX:HANDLE", help="whose: the key it acts for"
    )
    made.add_argument(
        "--scope",
        action="append",
        choices=[*Scope],
        help="for what; repeatable, for everything the owner may do when left out",
    )
    made.add_argument(
        "--prefix",
        action="append",
        default=[],
        help="below which prefix; repeatable, below all when left out",
    )
    made.add_argument(
        "--days",
        type=int,
        default=USUAL_DAYS,
        help=f"how long, at most {MAX_DAYS}; 0: until it is revoked; default: {USUAL_DAYS}",
    )
    made.add_argument(
        "--operator", action="store_true", help="no owner: it may do everything on this node"
    )
    add_output_argument(made)
    add_output_argument(words.add_parser("list", help="list all tokens, revoked ones too"))
    revoked = words.add_parser(
        "revoke", help="revoke tokens; they count for nothing within a second"
    )
    revoked.add_argument("token", help="the id or the name")


def run(arguments: argparse.Namespace) -> int:
    """Carry out the word.  Raises RegistryError."""
    asyncio.run(_run(_ACTS[arguments.word], arguments))
    return 0


async def _run(act: Act, arguments: argparse.Namespace) -> None:
    settings = with_servers(config.load())
    async with Database(settings.database_url, max_connections=1) as database:
        try:
            await act(Tokens(database, case_sensitive=settings.case_sensitive), arguments)
        except StoreUnavailable as error:
            raise RegistryError(Kind.UNAVAILABLE, f"{error}; `idnode check` says more.") from error
        except StoreError as error:
            raise RegistryError(
                Kind.UNAVAILABLE, f"{error}; `idnode migrate` brings the schema up to date."
            ) from error


async def _make(tokens: Tokens, arguments: argparse.Namespace) -> None:
    scopes: list[str] | None = arguments.scope
    order = TokenOrder(
        name=arguments.name,
        owner=arguments.owner,
        scopes=None if scopes is None else read_scopes(scopes),
        prefixes=tuple(arguments.prefix),
        days=arguments.days,
        is_operator=arguments.operator,
    )
    made = await tokens.make(order)
    if arguments.output is Form.TABLE:
        print(made.text)
    else:
        _show(arguments.output, [made.row], made.text)


async def _list(tokens: Tokens, arguments: argparse.Namespace) -> None:
    _show(arguments.output, await tokens.list())


async def _revoke(tokens: Tokens, arguments: argparse.Namespace) -> None:
    for row in await tokens.revoke(arguments.token):
        print(f"Token {row.id} ({row.name}) is revoked.")


def _show(form: Form, rows: "list[TokenRow] | tuple[TokenRow, ...]", text: str = "") -> None:
    shown = [({"token": text} if text else {}) | show_token(row) for row in rows]
    if form is Form.JSON:
        print_json(shown[0] if text else shown)
        return
    columns = (*(("token",) if text else ()), *COLUMNS)
    print_rows(form, columns, [[_cell(each[name]) for name in columns] for each in shown])


def _cell(value: object) -> str:
    if isinstance(value, list):
        return " ".join(value)
    return "" if value is None else str(value)


_ACTS: dict[str, Act] = {"make": _make, "list": _list, "revoke": _revoke}
