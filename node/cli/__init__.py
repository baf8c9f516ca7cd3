"""The command line: one file a noun, and the table of all verbs.

A verb's module is imported when it is asked for, and no other: what `resolve` needs has no part in how fast `serve`
starts.  Each has `add_arguments(parser)` and `run(arguments) -> int`, the exit code; failures are RegistryErrors, whose
sentence is printed here, and whose kind becomes the exit code here.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import NamedTuple, Protocol, cast

from node.errors import Kind, RegistryError

DONE, FOUND_FAULTS, WRONG_USE, INTERNAL, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 70, 130, 141

EXIT_CODES = {
    Kind.INVALID: WRONG_USE,
    Kind.MISCONFIGURED: WRONG_USE,
    Kind.NOT_FOUND: 3,
    Kind.CONFLICT: 4,
    Kind.FORBIDDEN: 5,
    Kind.IN_USE: 6,
    Kind.UNAVAILABLE: 7,
}

_EPILOG = """\
exit codes:
  0    done
  1    done, and faults were found (the output names them)
  2    wrong use: an argument, an input file or a setting
  3    not found
  4    in conflict with what is there
  5    not allowed
  6    in use: an address, or the data directory
  7    not available: a server that is needed
  70   a fault of ours
  130  interrupted

`idnode VERB --help` explains a verb; `idnode serve --help` lists the settings.
"""


class Verb(NamedTuple):
    """A word behind `idnode`: the module that carries it out, and what it is for."""

    name: str
    module: str
    purpose: str


class Command(Protocol):
    """What the module of a verb has."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Say which arguments the verb takes."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Carry it out and return the exit code."""


# In the order of a node's life.
VERBS = (
    Verb("serve", "node.cli.serve", "run the node until Ctrl-C"),
    Verb("restart", "node.cli.restart", "replace the workers of the running node, one by one"),
    Verb("check", "node.cli.check", "say what would keep the node from working, and why"),
    Verb("migrate", "node.cli.migrate", "bring the database's schema up to this version"),
    Verb("load", "node.cli.load", "load records and prefixes from a file"),
    Verb("bulk", "node.cli.bulk", "hand in bulk jobs, watch them, and export records"),
    Verb("key", "node.cli.key", "make and show keys, and certify them for TLS"),
    Verb("record", "node.cli.record", "read and change records, see their history, undo"),
    Verb("token", "node.cli.token", "make, list and revoke API tokens"),
    Verb("operator", "node.cli.operator", "say who runs this node, and where it answers"),
    Verb("enterprise", "node.cli.enterprise", "have enterprises apply, review and verify them"),
    Verb("prefix", "node.cli.prefix", "give prefixes to enterprises, host, delegate and stop them"),
    Verb("template", "node.cli.template", "keep metadata templates, and publish them"),
    Verb("application", "node.cli.application", "keep the list of applications"),
    Verb("sync", "node.cli.sync", "see and steer the sync with the top-level node"),
    Verb("audit", "node.cli.audit", "verify a ledger offline, and make what auditors are given"),
    Verb("witness", "node.cli.witness", "watch other people's logs, and cosign them"),
    Verb("toplevel", "node.cli.toplevel", "run a simulated top-level node, to try a node against"),
    Verb("resolve", "node.cli.resolve", "ask a node for an identifier, and show what it says"),
)


def main(words: Sequence[str] | None = None) -> int:
    """Carry out a command line and return the exit code; the words are those after `idnode`."""
    given = list(sys.argv[1:] if words is None else words)
    try:
        arguments, command = _parse(given)
        return command.run(arguments)
    except RegistryError as error:
        print(f"idnode: {error.detail}", file=sys.stderr)
        return EXIT_CODES[error.kind]
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing more to flush to
        return PIPE_CLOSED
    except Exception:  # the top of the process
        traceback.print_exc()
        print("idnode: this is a fault of ours; please report the lines above.", file=sys.stderr)
        return INTERNAL


def _parse(words: list[str]) -> tuple[argparse.Namespace, Command]:
    wanted = next((word for word in words if not word.startswith("-")), "")
    parser = argparse.ArgumentParser(
        prog="idnode",
        description="A secondary node (二级节点) of the industrial-internet identifier-resolution system.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"idnode {version('idnode')}")
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs", required=True)
    commands: dict[str, Command] = {}
    for verb in VERBS:
        subparser = subparsers.add_parser(
            verb.name,
            help=verb.purpose,
            description=f"{verb.purpose[0].upper()}{verb.purpose[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if verb.name == wanted:
            commands[verb.name] = cast("Command", import_module(verb.module))
            commands[verb.name].add_arguments(subparser)
    arguments = parser.parse_args(words)
    return arguments, commands[arguments.verb]
