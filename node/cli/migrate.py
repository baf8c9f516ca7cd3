"""`idnode migrate`: bring the database's schema up to this version, before the new version serves."""

import argparse
import asyncio

from node import config
from node.errors import Kind, RegistryError
from node.process.running import with_servers
from node.sealing import load_seal
from node.store.database import StoreError, StoreUnavailable, migrate
from node.store.sealing import seal_stored


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the verb takes: none, but a word on what it does."""
    parser.epilog = (
        "The database is IDNODE_DATABASE_URL, or the embedded one of the node that runs on the data directory.\n"
        "`idnode serve` does this itself; running it again does nothing."
    )


def run(_arguments: argparse.Namespace) -> int:
    """Migrate, and print each step.  Raises RegistryError."""
    settings = with_servers(config.load())
    try:
        steps = asyncio.run(migrate(settings.database_url))
        sealed = asyncio.run(seal_stored(settings.database_url, load_seal(settings)))
    except (StoreUnavailable, StoreError) as error:
        raise RegistryError(Kind.UNAVAILABLE, f"{error}; nothing was changed.") from error
    for step in steps:
        print(f"applied {step.number:04d} {step.name.replace('_', ' ')}")
    if sealed:
        print(f"sealed the secret keys of {sealed} records")
    if not steps:
        print("The schema is up to date.")
    return 0
