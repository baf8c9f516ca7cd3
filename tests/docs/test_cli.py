"""Every verb, argument and exit code of the command line is documented."""

import argparse
import re
from importlib import import_module
from pathlib import Path

import pytest

from node.cli import EXIT_CODES, FOUND_FAULTS, INTERNAL, INTERRUPTED, PIPE_CLOSED, VERBS, Verb

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md"


def section(verb: str) -> str:
    text = REFERENCE.read_text("utf-8")
    return text.partition(f"## idnode {verb}\n")[2].partition("\n## ")[0]


def test_verbs_are_documented_in_their_order() -> None:
    documented = re.findall(r"^## idnode (\w+)$", REFERENCE.read_text("utf-8"), re.MULTILINE)
    assert documented == [verb.name for verb in VERBS]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_arguments_of_a_verb_are_documented(verb: Verb) -> None:
    parser = argparse.ArgumentParser(add_help=False)
    import_module(verb.module).add_arguments(parser)
    taken = set()
    for action in parser._actions:
        positional = str(action.metavar or action.dest)
        taken.add(action.option_strings[-1] if action.option_strings else positional)
    documented = set(re.findall(r"^\| `([^` ]+)[^`]*` \|", section(verb.name), re.MULTILINE))
    assert documented == taken


def test_exit_codes_are_documented() -> None:
    table = REFERENCE.read_text("utf-8").partition("## idnode")[0]
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    given = {0, FOUND_FAULTS, INTERNAL, INTERRUPTED, PIPE_CLOSED, *EXIT_CODES.values()}
    assert documented == given
