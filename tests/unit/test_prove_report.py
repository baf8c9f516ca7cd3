"""The report of a proof: its document, its charts, both languages, its signature."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from loadtest.prove import charts
from loadtest.prove.charts import Slot
from loadtest.prove.document import document
from loadtest.prove.editions import WORDS, editions
from loadtest.prove.figures import duration, micro
from loadtest.prove.issuing import STYLE
from loadtest.prove.statement import check, sign, statement
from node.ledger.canonical import parse_canonical
from node.ledger.note import Ed25519Signer
from node.ledger.report.blocks import Numbers, Paragraph, Picture, Table
from node.ledger.report.charts import WIDTH
from node.ledger.report.html import page_of
from node.ledger.report.pdf import typeset_pages
from tests.support.proofs import findings

SECOND = 1_000_000
SIGNER = Ed25519Signer("log.example", bytes(range(32)))
SVG = "{http://www.w3.org/2000/svg}"


def frames(svg: str) -> list[tuple[float, float, float, float]]:
    """Left, top, right and bottom of everything that is drawn."""
    root = ElementTree.fromstring(svg)  # noqa: S314  ours
    found = []
    for each in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(each.attrib[name]) for name in ("x", "y", "width", "height"))
        found.append((x, y, x + w, y + h))
    for each in root.iter(f"{SVG}polyline"):
        points = [tuple(map(float, point.split(","))) for point in each.attrib["points"].split()]
        found += [(x, y, x, y) for x, y in points]
    return found


def labels(svg: str) -> list[tuple[float, float, str]]:
    root = ElementTree.fromstring(svg)  # noqa: S314  ours
    return [
        (float(each.attrib["x"]), float(each.attrib["y"]), each.text or "")
        for each in root.iter(f"{SVG}text")
    ]


def slots(values: Sequence[Sequence[int]]) -> list[Slot]:
    return [Slot(at * SECOND, (at + 1) * SECOND, each) for at, each in enumerate(values)]


@pytest.mark.parametrize(
    "values",
    [[], [[0, 0, 0]], [[1, 2, 3]], [[7, 0, 999_999]] * 90, [[40_000, 3, 0], [0, 0, 41_000]]],
)
def test_charts_stay_inside_their_frame(values: Sequence[Sequence[int]]) -> None:
    for draw in (charts.bars, charts.lines):
        svg = draw(slots(values), str)
        for left, top, right, bottom in frames(svg):
            assert 0 <= left <= right <= WIDTH
            assert 0 <= top <= bottom <= charts.HEIGHT


def test_bars_stand_on_each_other_and_come_to_the_sum() -> None:
    low, high = frames(charts.bars(slots([[10, 30]]), str))
    assert low[1] == pytest.approx(high[3])
    assert (high[3] - high[1]) / (low[3] - low[1]) == pytest.approx(3, rel=0.02)


@pytest.mark.parametrize("seconds", [1, 3, 16, 45, 100, 3_600])
def test_labels_of_time_do_not_meet(seconds: int) -> None:
    svg = charts.bars([Slot(0, seconds * SECOND, [1])], str)
    across = sorted(x for x, y, _ in labels(svg) if y > charts.HEIGHT - 10)
    assert len(across) >= 2
    assert min(b - a for a, b in itertools.pairwise(across)) > 35


@pytest.mark.parametrize(
    "rows", [{"50 %": [1]}, {"50 %": [90, 100, 110], "99 %": [5_000, 1, 2_000_000]}, {"50 %": [0]}]
)
def test_latencies_of_any_size_are_drawn(rows: dict[str, list[int]]) -> None:
    found = frames(charts.percentiles(rows, micro))
    assert len(found) == sum(map(len, rows.values()))
    for left, top, right, bottom in found:
        assert 0 <= left < right <= WIDTH
        assert 0 <= top < bottom <= charts.HEIGHT


@pytest.mark.parametrize(
    ("value", "end"), [(0, 4), (1, 4), (5, 8), (81, 200), (200, 200), (201, 400), (39_999, 40_000)]
)
def test_a_scale_ends_at_or_above_its_values_in_round_quarters(value: int, end: int) -> None:
    assert charts.scale_end(value) == end


def test_durations_are_written_for_people() -> None:
    assert [micro(each) for each in (0, 999, 1_000, 12_345, 2_000_000)] == [
        "0 µs", "999 µs", "1 ms", "12.3 ms", "2 s",
    ]  # fmt: skip
    assert duration(1_234_567) == "1.2 s"


def test_the_document_is_canonical_and_says_that_it_is_no_production() -> None:
    made = document(findings())
    said = json.loads(made)
    assert parse_canonical(made) == said
    assert (said["is_production"], said["campaign"]["class"]) == (False, "test")
    rows = {row.pop("protocol"): row for row in said["counts"]["rows"]}
    assert rows["udp"] == dict.fromkeys(("client", "ledger", "prometheus", "toplevel"), 1_000)
    assert rows["sum"]["client"] == 3_000
    assert said["counts"]["others"] == {"udp": 2}


@pytest.mark.parametrize("rows", [0, 1, 2, 40])
def test_both_languages_have_the_same_blocks_whatever_was_sampled(rows: int) -> None:
    chinese, english = editions(document(findings(rows)))
    assert [type(block) for block in chinese.blocks] == [type(block) for block in english.blocks]
    for one, other in zip(chinese.blocks, english.blocks, strict=True):
        if isinstance(one, Picture) and isinstance(other, Picture):
            assert one.svg == other.svg
        if isinstance(one, Table):
            assert all(len(row) == len(one.columns) for row in one.rows)


@pytest.mark.parametrize("language", [0, 1])
def test_each_language_says_first_that_tests_are_never_production(language: int) -> None:
    edition = editions(document(findings()))[language]
    warning = next(
        block
        for block in edition.blocks
        if isinstance(block, Paragraph) and block.tone == "warning"
    )
    assert ("不计入生产解析总量", "NOT part of the production count")[language] in warning.text


def test_what_does_not_hold_stands_in_the_report() -> None:
    page = page_of(editions(document(findings(faults=("over udp: one < too few",)))))
    assert page.count("over udp: one &lt; too few") == 2
    assert "The proof failed: 1 things" in page


def test_a_missing_acknowledgement_is_said_plainly_in_both_languages() -> None:
    found = findings(missing="it is a witness and acknowledges no counts")
    said = json.loads(document(found))
    assert said["acknowledgement"] == {
        "missing": "it is a witness and acknowledges no counts",
        "note": "",
    }
    assert all("toplevel" not in row for row in said["counts"]["rows"])
    page = page_of(editions(document(found)))
    assert "本报告不构成证明。原因：it is a witness" in page
    assert "this report proves nothing: it is a witness" in page
    assert page.count("not acknowledged") >= len(said["counts"]["rows"])
    assert len(typeset_pages(editions(document(found)), 30)) >= 4


def test_three_counts_that_are_equal_are_not_four_without_differences() -> None:
    for missing, shown in (("nobody answers", "–"), ("", "0")):
        for edition in editions(document(findings(missing=missing))):
            (numbers,) = (block for block in edition.blocks if isinstance(block, Numbers))
            assert numbers.cards[-1][1] == shown


def test_the_verifier_is_told_who_the_top_level_node_is_where_its_name_is_another() -> None:
    found = findings()
    assert "--bodies all --toplevel top\n" in page_of(editions(document(found)))
    usual = found.log.confirmed._replace(witness="toplevel")
    found.log = replace(found.log, confirmed=usual)
    assert "--toplevel" not in page_of(editions(document(found)))


def test_the_page_is_whole_by_itself_and_takes_no_text_for_markup() -> None:
    page = page_of(editions(document(findings())), STYLE)
    assert "<script" not in page
    assert "&lt;Some&gt; processor" in page
    links = [part.partition('"')[0] for part in page.split('href="')[1:]]
    assert links == ["#zh", "#en"]
    assert 'src="' not in page


def test_pages_are_typeset_in_both_languages() -> None:
    pages = typeset_pages(editions(document(findings())), 30)
    assert 4 <= len(pages) <= 8


def test_every_word_is_there_in_both_languages() -> None:
    for name, texts in WORDS.items():
        assert texts.keys() == {"zh", "en"}, name
        values = [
            {part.partition("}")[0] for part in text.split("{")[1:]} for text in texts.values()
        ]
        assert values[0] == values[1], name


def test_one_byte_less_or_more_is_not_what_was_signed() -> None:
    made = document(findings())
    files = made, b"page", b"pdf"
    note = sign(statement("log.example", 1, *files), [SIGNER]).encode()
    assert check(note, statement("log.example", 1, *files), [SIGNER.key]) == ""
    others = [
        (made[:-1], b"page", b"pdf"),
        (made + b" ", b"page", b"pdf"),
        (made.replace(b"1000", b"1001", 1), b"page", b"pdf"),
        (made, b"pagf", b"pdf"),
        (made, b"page", b"pdf\n"),
    ]
    for other in others:
        wrong = check(note, statement("log.example", 1, *other), [SIGNER.key])
        assert wrong.startswith("report.note is not of this report.json")


def test_another_key_has_signed_nothing() -> None:
    made = document(findings())
    text = statement("log.example", 1, made, b"page", b"pdf")
    stranger = Ed25519Signer("log.example", bytes(32))
    assert check(sign(text, [stranger]).encode(), text, [SIGNER.key]) != ""
    assert check(b"no note", text, [SIGNER.key]) != ""
