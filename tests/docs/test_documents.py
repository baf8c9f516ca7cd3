"""The documents hang together: links lead somewhere, commands exist, both READMEs say the same things."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("docs", "deploy", "loadtest")
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(file for name in FOLDERS for file in (ROOT / name).rglob("*.md")),
]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
# The sections of both READMEs, in their order.
SECTIONS = {
    "Start": "启动",
    "What make run prints": "make run 打印什么",
    "Try it": "试一试",
    "Load your own": "装入自己的数据",
    "Write a record": "写入标识记录",
    "Play an enterprise's whole life": "走完一家企业的全过程",
    "What is counted, and what the count proves": "统计了什么，计数能证明什么",
    "Prove a million resolutions": "证明一百万次解析",
    "What each store is trusted for": "各存储的职责与丢失的代价",
    "Settings": "配置",
    "Performance": "性能",
    "Libraries": "所用的库",
    "Layout": "目录",
    "Documents": "文档",
    "Contribute": "参与",
}
in_each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)


def sections(readme: str) -> list[str]:
    return re.findall(r"^## (.+)$", (ROOT / readme).read_text("utf-8"), re.MULTILINE)


def targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))


def anchor(heading: str) -> str:
    """The anchor that the hosting page gives to a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


@in_each_document
def test_links_lead_to_files_and_headings_that_exist(document: Path) -> None:
    for target in LINK.findall(document.read_text("utf-8")):
        if "://" in target:
            continue
        path, _, heading = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        assert file.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.MULTILINE)
            assert heading in [anchor(each) for each in headings], target


@in_each_document
def test_make_commands_exist(document: Path) -> None:
    named = re.findall(
        r"(?:`|^\s*|\|\s)make ([a-z][a-z-]*)", document.read_text("utf-8"), re.MULTILINE
    )
    assert set(named) - {"help"} <= targets()


def test_readmes_have_the_same_sections_in_the_same_order() -> None:
    assert sections("README.md") == list(SECTIONS)
    assert sections("README.zh-CN.md") == list(SECTIONS.values())


def test_readmes_have_the_same_commands() -> None:
    commands = [
        [
            line.split("#")[0].strip()
            for block in re.findall(r"```(?:sh)?\n(.*?)```", text, re.DOTALL)
            for line in block.splitlines()
            if re.match(r"(make|curl|idnode|\.venv/bin/idnode) ", line)
        ]
        for text in ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md"))
    ]
    assert commands[0]
    assert commands[0] == commands[1]


def test_every_command_of_make_help_is_in_the_readme() -> None:
    printed = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True)
    assert printed.returncode == 0
    commands = set(re.findall(r"make ([a-z-]+)", printed.stdout))
    assert commands >= {
        *["run", "test", "ci", "fmt", "lint", "type", "arch", "judges", "bench", "campaign", "help"]
    }
    for readme in ("README.md", "README.zh-CN.md"):
        text = (ROOT / readme).read_text("utf-8")
        assert {name for name in commands if f"make {name}" not in text} == set()


def test_changelog_says_what_is_not_released_yet() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text("utf-8").splitlines()
    unreleased = lines[lines.index("## Unreleased") + 1 :]
    assert any(line.startswith("- ") for line in unreleased)


def test_decisions_are_numbered_without_a_gap_and_titled_alike() -> None:
    files = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [int(file.name[:4]) for file in files] == list(range(1, len(files) + 1))
    for file in files:
        assert file.read_text("utf-8").startswith(f"# {file.name[:4]}. ")


def test_glossary_pairs_every_word_with_its_chinese_term() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (ROOT / "docs" / "glossary.md").read_text("utf-8").splitlines()
        if line.startswith("| ") and not line.startswith("| English")
    ]
    assert len(rows) > 40
    for english, chinese, meaning in rows:
        assert english
        assert re.search(r"[\u4e00-\u9fff]", chinese), english
        assert " · " in meaning, english


@pytest.mark.parametrize(
    ("readme", "heading"), [("README.md", "Libraries"), ("README.zh-CN.md", "所用的库")]
)
def test_library_table_names_what_the_project_depends_on(readme: str, heading: str) -> None:
    section = (ROOT / readme).read_text("utf-8").partition(f"## {heading}\n")[2]
    table = section.partition("\n## ")[0]
    named = re.findall(r"^\| ([a-z][a-z-]*) \|", table, re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = [re.split(r"[<>=;]", each)[0] for each in project["project"]["dependencies"]]
    assert [name for name in named if name != "library"] == sorted(wanted)
    tools = [re.split(r"[<>=;]", each)[0] for each in project["dependency-groups"]["dev"]]
    assert {tool for tool in tools if tool not in table} == set()


def test_readmes_name_the_same_settings() -> None:
    texts = [(ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md")]
    english, chinese = (set(re.findall(r"IDNODE_[A-Z_]+", text)) for text in texts)
    assert english == chinese
