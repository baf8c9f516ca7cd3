"""The commands of docs/scale.md exist, with their options, and its table of the plan is what the simulation prints."""

import importlib
import re
import shlex
import sys
from pathlib import Path

import pytest

from loadtest.fleet import Costs, Limits
from loadtest.simulate import QUESTIONS, lines

SCALE = (Path(__file__).resolve().parents[2] / "docs" / "scale.md").read_text("utf-8")
COMMANDS = sorted(set(re.findall(r"python -m (loadtest\.[^`\n|]+)", SCALE)))
SEED = 1


def test_document_has_commands() -> None:
    modules = {command.split()[0] for command in COMMANDS}
    assert modules >= {f"loadtest.{name}" for name in ("growth", "capacity", "soak", "simulate")}


@pytest.mark.parametrize("command", COMMANDS)
def test_command_exists_with_its_options(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module, *words = shlex.split(command)
    monkeypatch.setattr(sys, "argv", [module, "--help"])

    with pytest.raises(SystemExit) as ended:
        importlib.import_module(module).main()

    assert ended.value.code == 0
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert {word for word in words if word.startswith("--")} <= known


def test_table_of_the_plan_is_what_the_simulation_prints() -> None:
    printed = list(lines(Costs(), Limits(), QUESTIONS, SEED))

    assert "\n".join(printed) in SCALE
