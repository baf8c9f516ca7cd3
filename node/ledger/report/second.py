"""The second page: charts, and how to check everything without believing us."""

import io
from collections.abc import Iterator
from hashlib import sha256

import segno

from node.ledger.checkpoint import Checkpoint
from node.ledger.gomodule import module_of, version_of
from node.ledger.keys import NoteError, to_base64
from node.ledger.note import Note
from node.ledger.report import charts
from node.ledger.report.blocks import (
    Beside,
    Block,
    Commands,
    Heading,
    PageBreak,
    Paragraph,
    Picture,
    Table,
)
from node.ledger.report.texts import Document, count, percent
from node.ledger.report.words import LIMIT_WORDS, Words

_COLOURS = {
    "production": charts.DARK,
    "test": "#e0a030",
    "self": "#8a94a3",
    "robot": "#6b8e5a",
    "suspect": "#b3541e",
    "reserved": "#dddddd",
}


def second(said: Document, document: bytes, words: Words) -> Iterator[Block]:
    """Return the blocks of the second page; `document` is what `said` was read from."""
    yield PageBreak()
    yield from _charts(said, words)
    yield Heading(words("check"))
    yield Paragraph(words("check_keys"))
    yield Paragraph(words("check_verify"))
    yield Commands(
        ["idnode audit verify EVIDENCE --log-key log.vkey --policy policy.tlog-policy --bodies all"]
    )
    yield from _go(said, words)
    yield Heading(words("digest"))
    yield _digest(said, document)
    yield Heading(words("limits"))
    for name in LIMIT_WORDS:
        yield Paragraph(words(name), "small")


def _charts(said: Document, words: Words) -> Iterator[Block]:
    days = said["by_day"]
    yield Picture(
        charts.bars(
            [str(int(each["day"][-2:])) for each in days],
            [each["filtered"] for each in days],
            [each["raw"] for each in days],
        ),
        words("charts_daily"),
    )
    hours = [each["filtered"] for each in said["by_hour_profile"]]
    yield Picture(charts.bars([str(hour) for hour in range(24)], hours), words("charts_hourly"))
    classes = [each for each in said["by_class"] if each["requests"]]
    whole = sum(each["requests"] for each in classes)
    shares = charts.shares(
        [each["requests"] for each in classes], [_COLOURS[each["class"]] for each in classes]
    )
    yield Picture(shares, words("charts_classes"))
    columns = [words(name) for name in ("class", "requests", "successes", "share")]
    rows = [
        [
            words(f"class_{each['class']}"),
            count(each["requests"]),
            count(each["successes"]),
            percent(each["requests"], whole),
        ]
        for each in classes
    ]
    yield Table(
        columns,
        "crrr",
        [
            [_COLOURS[each["class"]] + row[0], *row[1:]]
            for each, row in zip(classes, rows, strict=True)
        ],
    )


def _go(said: Document, words: Words) -> Iterator[Block]:
    """The commands of others' tools, for the last day of the period."""
    if not said["by_day"]:
        return
    last = said["by_day"][-1]
    module, version = module_of(said["origin"]), version_of(last["day"])
    yield Paragraph(words("check_go", day=last["day"], answered=count(last["answered"])))
    yield Commands(
        [
            'export GOSUMDB="$(cat index.vkey) file://$PWD/index/sumdb" GOPROXY="file://$PWD/index/proxy" \\',
            "  GOPATH=$HOME/auditor GONOSUMDB= GOPRIVATE= GOFLAGS=-modcacherw",
            f"go mod download -json {module}@{version}",
            f'cd "$(go env GOMODCACHE)/{module}@{version}" && sha256sum -c SHA256SUMS \\',
            """  && jq -s 'map(select(.k=="blk").ok[0])|add' leaves.jsonl""",
        ]
    )


def _digest(said: Document, document: bytes) -> Beside:
    """Digest and head, as text and in a QR code that has the same lines."""
    lines = [
        f"idnode report {said['origin']} {said['period']['month']} {said['report_version']}",
        f"sha256 {sha256(document).hexdigest()}",
        *_head(said),
    ]
    return Beside(qr_code("\n".join(lines)), lines)


def _head(said: Document) -> Iterator[str]:
    try:
        head = Checkpoint.parse(Note.parse(said["log"]["last_head"].encode()).text)
    except NoteError:  # nobody has cosigned one that covers the period
        return
    yield f"head {head.size} {to_base64(head.root)}"


def qr_code(text: str) -> str:
    """Return a QR code as SVG."""
    drawn = io.BytesIO()
    segno.make(text, error="m", micro=False).save(
        drawn, kind="svg", border=2, xmldecl=False, svgclass=None, lineclass=None, omitsize=True
    )
    return drawn.getvalue().decode()
