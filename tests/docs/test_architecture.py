"""The import rules hold, and a forbidden import breaks them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT_IMPORTS = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo"]

FORBIDDEN = {
    "the wire reads a socket": ("resolver/wire/cursor.py", "import asyncio"),
    "a scheme asks a tier": ("resolver/schemes/handle.py", "import resolver.tiers.memory"),
    "the resolver knows the node": ("resolver/service.py", "import node.config"),
    "sync knows the resolver": ("sync/__init__.py", "import resolver.answer"),
    "SQL outside the store": ("node/feed.py", "import asyncpg"),
    "a front end asks its sibling": (
        "resolver/frontends/udp.py",
        "import resolver.frontends.tcp",
    ),
    "the framework in the service": ("resolver/service.py", "import fastapi"),
    "the store knows the registry": ("node/store/records.py", "import node.registry.prefixes"),
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for package in ("loadtest", "node", "resolver", "sync"):
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        LINT_IMPORTS, cwd=tree, capture_output=True, text=True, timeout=60, check=False
    )


def test_every_contract_is_kept(tree: Path) -> None:
    verdict = lint(tree)
    assert verdict.returncode == 0, verdict.stdout


@pytest.mark.parametrize(("file", "line"), FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_forbidden_import_breaks_the_build_and_names_the_line(
    tree: Path, file: str, line: str
) -> None:
    with (tree / file).open("a", encoding="utf-8") as module:
        module.write(f"\n{line}\n")

    verdict = lint(tree)

    assert verdict.returncode == 1
    assert file.removesuffix(".py").replace("/", ".").removesuffix(".__init__") in verdict.stdout
