"""`idnode operator`: who runs this node, and where it answers, as the top-level node is told."""

import argparse

from node.cli.forms import add_form_argument, read_json_file
from node.cli.objects import add_if_version, add_noun, add_personal, run_noun, send, show_one
from node.cli.objectshow import Column, show_objects
from node.cli.words import Word
from resolver.client import Client

OPERATOR, ROUTES = "/v1/operator", "/v1/routes"

_EPILOG = """\
examples, on the node's own machine:
  idnode operator example > operator.json
  idnode operator put operator.json
  idnode operator show
  idnode operator put-routes routes.json
"""
_COLUMNS = (
    Column("type", "value.identifier_type"),
    Column("prefix", "value.prefix"),
    Column("sites", "value.sites"),
    Column("version", "version"),
    Column("changed at", "changed_at"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the verb takes."""
    add_noun(parser, WORDS, _EPILOG)


def run(arguments: argparse.Namespace) -> int:
    """Carry it out and return 0.  Raises RegistryError for everything else."""
    return run_noun(arguments, WORDS, "operator")


def _takes_put(parser: argparse.ArgumentParser) -> None:
    add_form_argument(parser, "the operator")
    add_if_version(parser)


def _takes_nothing(_parser: argparse.ArgumentParser) -> None:
    return


def _takes_routes(parser: argparse.ArgumentParser) -> None:
    add_form_argument(parser, "all routes, an object with `routes`")


async def _show(arguments: argparse.Namespace, client: Client) -> None:
    await show_one(arguments, client, OPERATOR)


async def _put(arguments: argparse.Namespace, client: Client) -> None:
    await send(arguments, client, "PUT", OPERATOR, read_json_file(arguments.file))


async def _routes(arguments: argparse.Namespace, client: Client) -> None:
    found = await client.document("GET", ROUTES)
    show_objects(found.content, "routes", _COLUMNS, arguments.output)


async def _put_routes(arguments: argparse.Namespace, client: Client) -> None:
    found = await client.document("PUT", ROUTES, body=read_json_file(arguments.file))
    show_objects(found.content, "routes", _COLUMNS, arguments.output)


WORDS = (
    Word("show", "show who runs this node", add_personal, _show),
    Word("put", "say who runs this node", _takes_put, _put),
    Word("routes", "show where this node answers", _takes_nothing, _routes),
    Word(
        "put-routes", "say where this node answers: these routes alone", _takes_routes, _put_routes
    ),
)
