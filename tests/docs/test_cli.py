"""Every verb, argument and exit code of the command line is documented."""

import argparse
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from node.cli import EXIT_CODES, FOUND_FAULTS, INTERNAL, INTERRUPTED, PIPE_CLOSED, VERBS, Verb

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md"


def section(verb: str) -> str:
    text = REFERENCE.read_text("utf-8")
    return text.partition(f"## idnode {verb}\n")[2].partition("\n## ")[0]


def arguments_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The options and operands of a parser; and of the verbs below it, with their names."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield name
                yield from arguments_of(below)
        elif not isinstance(action, argparse._HelpAction):
            yield (
                action.option_strings[-1]
                if action.option_strings
                else str(action.metavar or action.dest)
            )


def test_verbs_are_documented_in_their_order() -> None:
    documented = re.findall(r"^## idnode (\w+)$", REFERENCE.read_text("utf-8"), re.MULTILINE)
    assert documented == [verb.name for verb in VERBS]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_arguments_of_a_verb_are_documented(verb: Verb) -> None:
    parser = argparse.ArgumentParser(add_help=False)
    import_module(verb.module).add_arguments(parser)
    taken = set(arguments_of(parser))
    documented = set(re.findall(r"^\| `([^` ]+)[^`]*` \|", section(verb.name), re.MULTILINE))
    assert documented == taken


def test_exit_codes_are_documented() -> None:
    table = REFERENCE.read_text("utf-8").partition("## idnode")[0]
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    given = {0, FOUND_FAULTS, INTERNAL, INTERRUPTED, PIPE_CLOSED, *EXIT_CODES.values()}
    assert documented == given
