"""`idnode record`: read and change records, on the node that runs here or on another server."""

import argparse
from collections.abc import Callable

from node.cli.recordshow import (
    show_history,
    show_names,
    show_record,
    show_written,
)
from node.cli.recordvalues import (
    add_admin_argument,
    add_value_arguments,
    admin_value,
    read_indexes,
    read_values,
)
from node.cli.words import Word, add_words, run_word
from node.errors import Kind, RegistryError
from resolver.client import Client, Page, Terms
from resolver.identifier import Identifier, IdentifierError, Scheme
from resolver.schemes import parse

PAGE_NAMES = 1_000
MAX_REVISIONS = 100
DEFAULT_NAMES = 1_000

_EPILOG = """\
examples, on the node's own machine:
  idnode record put 88.118.8/pump-1 --value 1:URL=https://example.cn/pump-1
  idnode record get 88.118.8/pump-1
  idnode record modify 88.118.8/pump-1 --value 1:URL=https://example.cn/p1 --reason "new site"
  idnode record history 88.118.8/pump-1
  idnode record revert 88.118.8/pump-1 1
  idnode record delete 88.118.8/pump-1 --reason "sold"

on another server, where --admin keeps the record yours:
  idnode record put 88.118.8/pump-2 --value 1:URL=https://example.cn/pump-2 \\
      --admin 300:88.118.8/ADMIN --server https://id.example.cn \\
      --as 300:88.118.8/ADMIN --secret-file secret.txt

exit codes:
  0  done
  2  wrong use, or a value or an identifier that is none
  3  no such record, value or version; or its prefix is not served there
  4  there is one already, or the record has changed (--if-version)
  5  not allowed, or the login was not accepted
  7  no answer, or the server is busy or at fault
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the verb takes."""
    add_words(parser, WORDS, _EPILOG)


def run(arguments: argparse.Namespace) -> int:
    """Carry it out and return 0.  Raises RegistryError for everything else."""
    return run_word(arguments, WORDS)


async def _get(arguments: argparse.Namespace, client: Client) -> None:
    show_record(await client.get(_identifier(arguments)), arguments.output)


async def _put(arguments: argparse.Namespace, client: Client) -> None:
    name = (
        arguments.identifier if arguments.mint and not arguments.scheme else _identifier(arguments)
    )
    values = read_values(arguments)
    if arguments.admin is not None:
        values += (admin_value(arguments.admin, values),)
    written = await client.put(
        name,
        values,
        _terms(arguments),
        overwrite=not arguments.create_only,
        mint=arguments.mint,
    )
    show_written(written, "created" if written.created else "replaced", arguments.output)


async def _add(arguments: argparse.Namespace, client: Client) -> None:
    values, overwrite = read_values(arguments), arguments.overwrite
    written = await client.add(
        _identifier(arguments), values, _terms(arguments), overwrite=overwrite
    )
    show_written(written, "values added to", arguments.output)


async def _modify(arguments: argparse.Namespace, client: Client) -> None:
    written = await client.modify(_identifier(arguments), read_values(arguments), _terms(arguments))
    show_written(written, "values changed in", arguments.output)


async def _remove(arguments: argparse.Namespace, client: Client) -> None:
    indexes = read_indexes(arguments.index)
    written = await client.remove(_identifier(arguments), indexes, _terms(arguments))
    show_written(written, "values removed from", arguments.output)


async def _delete(arguments: argparse.Namespace, client: Client) -> None:
    written = await client.delete(_identifier(arguments), _terms(arguments))
    show_written(written, "deleted", arguments.output)


async def _history(arguments: argparse.Namespace, client: Client) -> None:
    identifier = _identifier(arguments)
    found = await client.history(identifier, arguments.before or 0, arguments.limit)
    show_history(identifier.text, found, arguments.output)


async def _revert(arguments: argparse.Namespace, client: Client) -> None:
    written = await client.revert(_identifier(arguments), arguments.version, _terms(arguments))
    show_written(written, f"reverted to version {arguments.version}:", arguments.output)


async def _list(arguments: argparse.Namespace, client: Client) -> None:
    names: list[str] = []
    page = Page((), arguments.after)
    while True:
        wanted = min(arguments.limit - len(names), PAGE_NAMES)
        page = await client.list(arguments.prefix, page.after, wanted)
        names += page.names
        if not page.after or len(names) >= arguments.limit:
            break
    show_names(Page(tuple(names), page.after), arguments.output)


def _identifier(arguments: argparse.Namespace) -> Identifier:
    scheme = Scheme(arguments.scheme) if arguments.scheme else None
    try:
        return parse(arguments.identifier, scheme)
    except IdentifierError as error:
        raise RegistryError(Kind.INVALID, f"{arguments.identifier!r}: {error}") from error


def _terms(arguments: argparse.Namespace) -> Terms:
    return Terms(arguments.if_version, arguments.reason, arguments.idempotency_key)


def _takes_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("identifier", help="in any spelling: 88.118.8/x, oid:1.2.156.1, (01)0950…")
    parser.add_argument("--scheme", choices=[*Scheme], help="its scheme; detected when not given")


def _takes_terms(parser: argparse.ArgumentParser) -> None:
    _takes_name(parser)
    parser.add_argument("--reason", default="", help="why; it goes into the history")
    parser.add_argument(
        "--if-version", type=_positive, metavar="N", help="only while the record is at this version"
    )
    parser.add_argument(
        "--idempotency-key",
        default="",
        metavar="KEY",
        help="take up an earlier command whose end is not known",
    )


def _takes_put(parser: argparse.ArgumentParser) -> None:
    _takes_terms(parser)
    add_value_arguments(parser)
    add_admin_argument(parser)
    parser.add_argument(
        "--create-only", action="store_true", help="refuse when there is such a record"
    )
    parser.add_argument(
        "--mint", action="store_true", help="append a UUID to the identifier, or to the prefix"
    )


def _takes_add(parser: argparse.ArgumentParser) -> None:
    _takes_modify(parser)
    parser.add_argument(
        "--overwrite", action="store_true", help="replace values whose indexes are there"
    )


def _takes_modify(parser: argparse.ArgumentParser) -> None:
    _takes_terms(parser)
    add_value_arguments(parser)


def _takes_remove(parser: argparse.ArgumentParser) -> None:
    _takes_terms(parser)
    parser.add_argument(
        "--index",
        action="append",
        type=int,
        required=True,
        help="the value with this index; repeatable",
    )


def _takes_revert(parser: argparse.ArgumentParser) -> None:
    _takes_terms(parser)
    parser.add_argument("version", type=_positive, help="which version; the history lists them")


def _takes_history(parser: argparse.ArgumentParser) -> None:
    _takes_name(parser)
    parser.add_argument("--before", type=_positive, metavar="N", help="older than this version")
    parser.add_argument(
        "--limit", type=_up_to(MAX_REVISIONS), default=20, help="so many at most; default: 20"
    )


def _takes_prefix(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prefix", help="such as 88.118.8")
    parser.add_argument("--after", default="", help="names after where the last list ended")
    parser.add_argument(
        "--limit", type=_positive, default=DEFAULT_NAMES, help="so many at most; default: 1000"
    )


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**31):
        raise argparse.ArgumentTypeError("must be a number from 1 to 2147483647")
    return int(text)


def _up_to(limit: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = _positive(text)
        if number > limit:
            raise argparse.ArgumentTypeError(f"must be a number from 1 to {limit}")
        return number

    return read


# In the order of a record's life.
WORDS = (
    Word("get", "show a record with all values that you may read", _takes_name, _get),
    Word("put", "create a record, or replace it", _takes_put, _put),
    Word("add", "add values to a record", _takes_add, _add),
    Word("modify", "change values of a record", _takes_modify, _modify),
    Word("remove", "remove values from a record", _takes_remove, _remove),
    Word("delete", "delete a record; when and why stays known", _takes_terms, _delete),
    Word(
        "history",
        "list what was done to a record, by whom, from where and why",
        _takes_history,
        _history,
    ),
    Word("revert", "make a record what it was at a version", _takes_revert, _revert),
    Word("list", "list the names under a prefix", _takes_prefix, _list),
)
