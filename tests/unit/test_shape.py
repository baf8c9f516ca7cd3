"""The shape of the tree: how long a module may be, and what must never lie under tests/."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("resolver", "sync", "node", "loadtest")
MAX_LINES = 400
LONGER: dict[str, int] = {}  # module -> its own limit, each with the reason beside it


def modules() -> list[Path]:
    return [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]


@pytest.mark.parametrize("module", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_module_is_short_enough_to_be_read_at_once(module: Path) -> None:
    lines = len(module.read_text("utf-8").splitlines())
    assert lines <= LONGER.get(str(module.relative_to(ROOT)), MAX_LINES)


@pytest.mark.parametrize("module", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_module_opens_with_what_it_is_for(module: Path) -> None:
    text = module.read_text("utf-8")
    assert text.startswith('"""') or not text  # an empty __init__.py says nothing


def test_every_longer_module_exists() -> None:
    assert [name for name in LONGER if not (ROOT / name).is_file()] == []


def test_no_package_lies_under_tests_where_it_would_shadow_ours() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_test_files_have_names_of_their_own() -> None:
    names = [file.name for file in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_every_top_level_folder_is_one_of_the_house() -> None:
    known = {*PACKAGES, "deploy", "docs", "tests", "build", "dist"}
    found = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] not in "._"}
    assert found <= known
