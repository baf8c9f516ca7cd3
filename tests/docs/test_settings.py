"""Every setting is documented as the code has it, and the documents name no setting that does not exist."""

import re
import tomllib
from pathlib import Path

import pytest

from node.config import CONFIG_VARIABLE, Description, describe, load

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference" / "settings.md"
FOLDERS = ("docs", "deploy", "loadtest")
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(file for name in FOLDERS for file in (ROOT / name).rglob("*.md")),
]
FOR_TESTS = "IDNODE_TEST_"  # variables of the test suite


def row(setting: Description) -> str:
    default = f"`{setting.default}`" if setting.default else "empty"
    return f"| `{setting.variable}` | {default} | {setting.sentence} |"


@pytest.mark.parametrize("setting", describe(), ids=lambda setting: setting.variable)
def test_setting_stands_in_the_reference_with_its_default_and_sentence(
    setting: Description,
) -> None:
    assert row(setting) in REFERENCE.read_text("utf-8").splitlines()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_document_names_only_settings_that_exist(document: Path) -> None:
    known = {setting.variable for setting in describe()} | {CONFIG_VARIABLE}
    named = set(re.findall(r"\bIDNODE_[A-Z][A-Z_]*[A-Z]\b", document.read_text("utf-8")))
    assert {name for name in named if not name.startswith(FOR_TESTS)} <= known


def test_example_file_in_the_reference_is_read(tmp_path: Path) -> None:
    example = re.findall(r"```toml\n(.*?)```", REFERENCE.read_text("utf-8"), re.DOTALL)[0]
    assert tomllib.loads(example)
    (tmp_path / "idnode.toml").write_text(example, "utf-8")

    settings = load({}, tmp_path)

    assert [str(endpoint) for endpoint in settings.http_listen] == ["127.0.0.1:8000", "[::1]:8000"]
    assert settings.udp_max_datagrams == 4
