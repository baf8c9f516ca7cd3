"""Reports for people and programs: the same in both languages, no text read as markup, figures where they belong."""

import csv
import io
import json
import re
from collections.abc import Sequence
from string import Formatter
from xml.etree import ElementTree

import pytest

from node.ledger.keys import NoteError
from node.ledger.report import charts
from node.ledger.report.blocks import Paragraph, Table
from node.ledger.report.editions import SAMPLE_MARK, editions
from node.ledger.report.html import render_html
from node.ledger.report.months import days_of, span_of
from node.ledger.report.pdf import render_pages, render_pdf
from node.ledger.report.second import qr_code
from node.ledger.report.tables import counter_csv, daily_yaml
from node.ledger.report.thresholds import Profile, own_profiles
from node.ledger.report.words import WORDS
from node.ledger.statement import Statement
from tests.support.reports import HOSTILE, made_document

PNG = b"\x89PNG"


@pytest.mark.parametrize("name", WORDS)
def test_both_languages_say_it_with_the_same_values(name: str) -> None:
    said = WORDS[name]
    assert set(said) == {"zh", "en"}
    values = [
        {field for _, field, _, _ in Formatter().parse(said[each]) if field}
        for each in ("zh", "en")
    ]
    assert values[0] == values[1]


def test_html_reads_no_text_as_markup_and_fetches_nothing() -> None:
    page = render_html(made_document())
    assert "<script" not in page
    assert HOSTILE.split(" ")[0].replace("<", "&lt;").replace(">", "&gt;") in page
    assert not re.search(r"""(src|href)=["'](?!#)""", page)
    assert "url(" not in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_pdf_and_its_pages_read_no_text_as_markup() -> None:
    """typst would fail, or panic, on what these texts are in its own language."""
    document = made_document()
    assert render_pdf(document).startswith(b"%PDF-")
    pages = render_pages(document, 40)
    assert len(pages) >= 6
    assert all(page.startswith(PNG) for page in pages)


def test_the_same_document_makes_the_same_bytes() -> None:
    document = made_document()
    assert render_html(document) == render_html(document)
    assert render_pdf(document) == render_pdf(document)


def test_editions_have_the_same_blocks_in_the_same_places() -> None:
    chinese, english = editions(made_document())
    assert [block.kind for block in chinese.blocks] == [block.kind for block in english.blocks]


@pytest.mark.parametrize("is_sample", [True, False])
def test_every_page_of_a_sample_says_so_and_no_other_does(is_sample: bool) -> None:
    made = editions(made_document(sample=is_sample))
    assert {edition.mark for edition in made} == {SAMPLE_MARK if is_sample else ""}
    assert (SAMPLE_MARK in render_html(made_document(sample=is_sample))) is is_sample


def test_a_report_without_witnesses_says_what_that_means() -> None:
    warned = warnings(made_document(witnesses=[]))
    assert any("no outside witness" in text for text in warned)
    assert not any("no outside witness" in text for text in warnings(made_document()))


def warnings(document: bytes) -> list[str]:
    blocks = editions(document)[1].blocks
    return [
        block.text for block in blocks if isinstance(block, Paragraph) and block.tone == "warning"
    ]


def test_a_month_that_is_not_over_says_so() -> None:
    assert any("not over" in text for text in warnings(made_document()))


@pytest.mark.parametrize(
    "what", ["by_day", "thresholds", "reconciliation", "gaps", "campaigns", "policies", "by_prefix"]
)
def test_what_is_empty_is_written_too(what: str) -> None:
    document = made_document(**{what: []})
    assert render_html(document)
    assert render_pdf(document)


def test_rows_have_as_many_cells_as_columns() -> None:
    for edition in editions(made_document()):
        for block in edition.blocks:
            if isinstance(block, Table):
                rows = [*block.rows, *([block.total] if block.total else [])]
                assert {len(row) for row in rows} | {len(block.columns)} == {len(block.layout)}


@pytest.mark.parametrize("dark", [[], [0], [3, 1], [9_999_999_999], list(range(31))])
def test_charts_are_whole_xml_and_stay_inside_their_frame(dark: Sequence[int]) -> None:
    root = ElementTree.fromstring(charts.bars([str(at) for at in range(len(dark))], dark))  # noqa: S314  ours
    for bar in root.iter("{http://www.w3.org/2000/svg}rect"):
        top, high = float(bar.attrib["y"]), float(bar.attrib["height"])
        assert high >= 0
        assert 0 <= top <= top + high <= charts.HEIGHT


@pytest.mark.parametrize(
    ("value", "colour"), [(9, charts.BAD), (10, charts.GOOD), (11, charts.GOOD)]
)
def test_the_bar_turns_at_the_target(value: int, colour: str) -> None:
    assert colour in charts.progress(value, 10)


def test_the_qr_code_is_one() -> None:
    ElementTree.fromstring(qr_code("sha256 " + 64 * "a"))  # noqa: S314  ours


def test_csv_has_a_row_for_each_prefix_and_metric_and_no_formula() -> None:
    rows = list(csv.reader(io.StringIO(counter_csv(made_document()))))
    at = rows.index(["Item", "Data_Type", "Metric_Type", "Reporting_Period_Total"])
    assert [row[2:] for row in rows[at + 1 :]] == [
        ["Total_Requests", "30"],
        ["Raw_Resolutions", "20"],
        ["Filtered_Resolutions", "10"],
    ]
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)


def test_yaml_has_two_documents_a_day() -> None:
    text = daily_yaml(made_document())
    assert text.count("---\n") == 2
    assert "metric: traffic-volume\nrequests-received: 30\nresolutions-raw: 20\n" in text
    assert "metric: unique-sources\nnum-sources: 6\nnum-identifiers: 8\n" in text


def test_weifang_asks_for_four_things_one_of_them_a_million_resolutions() -> None:
    weifang = own_profiles()[0]
    assert weifang.id == "weifang-2022"
    assert [each.at_least for each in weifang.conditions] == [0, 0, 1_000_000, 0]
    assert all(each.shown_by for each in weifang.conditions if not each.at_least)


def test_other_regions_ask_for_other_things() -> None:
    asked = {
        each.id: [one.at_least for one in each.conditions if one.at_least]
        for each in own_profiles()
    }
    assert asked == {
        "weifang-2022": [10**6],
        "chongqing-2022": [4 * 10**6],
        "shandong-2024": [10**5, 10**5],
    }


BOTH = {"zh": "x", "en": "x"}
LUCK = {"no": 1, "kind": "luck", "text": BOTH}
NOTHING = {
    "no": 1,
    "kind": "resolutions",
    "metric": "raw",
    "scope": "year",
    "at_least": 0,
    "text": BOTH,
}


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"name": {"zh": "x"}},
        {"text": "x"},
        {"conditions": [LUCK]},
        {"conditions": [NOTHING]},
    ],
)
def test_a_profile_that_is_none_is_refused(change: dict[str, object]) -> None:
    whole: dict[str, object] = {"id": "x", "name": BOTH, "text": BOTH, "conditions": []}
    assert Profile.parse(json.dumps(whole).encode())
    given = {name: value for name, value in {**whole, **change}.items() if value is not None}
    with pytest.raises(ValueError, match=r"profile lacks|given in|no condition|from 1"):
        Profile.parse(json.dumps(given).encode())


def test_months_are_those_of_china() -> None:
    assert len(days_of("2028-02")) == 29
    start, end = span_of("2026-12")
    assert (start, end - start) == (1_796_054_400_000_000, 31 * 86_400 * 1_000_000)


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-1", "2026", "2026-00", "２０２６-01", "2026-01-01"]
)
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no month"):
        days_of(text)


def test_a_statement_is_read_back_and_is_of_its_document_alone() -> None:
    stated = Statement.of("log.example/ledger", "2026-11", 2, b"document")
    assert Statement.parse(stated.text) == stated
    assert stated.is_of(b"document")
    assert not stated.is_of(b"another")


@pytest.mark.parametrize(
    "change", [("\n2\n", "\n02\n"), ("idnode", "other"), ("sm3 ", "sm3  "), ("2026-11", "2026-1")]
)
def test_a_statement_has_one_form(change: tuple[str, str]) -> None:
    text = Statement.of("log.example/ledger", "2026-11", 2, b"document").text
    with pytest.raises(NoteError):
        Statement.parse(text.replace(*change))
