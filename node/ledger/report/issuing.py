"""Issuing a report: its files in `reports/<month>-v<version>/`, its signature, and then its leaf in the log.

    report.json   the document            report.note   the statement over it, signed by the keys of the log
    report.html, report.pdf               the same for people
    report.csv, report.yaml               the same for programs that know COUNTER's or RSSAC002's

A month that is over is issued with a leaf; another version names the one that it replaces.  A crash before the leaf
leaves files that the next try writes anew.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from node.ledger.closing import Append
from node.ledger.durable import PUBLIC_DIRECTORY, PUBLIC_FILE, make_directory, write_durably
from node.ledger.evidence import REPORTS
from node.ledger.leaf import Report
from node.ledger.note import Note, Signer
from node.ledger.report.document import Issue, document, newest_report
from node.ledger.report.figures import LedgerMonth
from node.ledger.report.html import render_html
from node.ledger.report.pdf import render_pdf
from node.ledger.report.tables import counter_csv, daily_yaml
from node.ledger.statement import Statement

JSON, NOTE, HTML, PDF = "report.json", "report.note", "report.html", "report.pdf"
CSV, YAML = "report.csv", "report.yaml"


class NotOver(Exception):
    """The month has days that are not closed; only a preliminary report can be made of it."""


def issue_report(
    month: LedgerMonth, issue: Issue, signers: Sequence[Signer], append: Append
) -> Path:
    """Issue the report of a month, or its next version, and return the directory of its files.

    `issue` has everything but version and predecessor.  Raises NotOver, and as `LedgerMonth`, `write_report`, `append`.
    """
    if not month.is_complete:
        raise NotOver(
            f"{month.month} has {len(month.days)} closed days, which are not all of them; wait until they are"
        )
    before = newest_report(month)
    if before is not None:
        issue = replace(issue, version=before.version + 1, supersedes=before.sha256)
    made = document(month, issue)
    directory = month.files.directory / REPORTS / f"{month.month}-v{issue.version}"
    stated = write_report(directory, made, _statement(month, issue, made), signers)
    append(
        Report(
            period=month.month,
            version=issue.version,
            sha256=stated.sha256,
            sm3=stated.sm3,
            supersedes=issue.supersedes or None,
        )
    )
    return directory


def preliminary_report(
    month: LedgerMonth, issue: Issue, signers: Sequence[Signer], directory: Path
) -> None:
    """Write what a report would be now, without a leaf.  Raises as `LedgerMonth` and `write_report`."""
    made = document(month, issue)
    write_report(directory, made, _statement(month, issue, made), signers)


def write_report(
    directory: Path, made: bytes, stated: Statement, signers: Sequence[Signer]
) -> Statement:
    """Write all files of a report.  Raises TypesetError, OSError."""
    note = Note(stated.text).signed(*[signer.sign(stated.text) for signer in signers])
    files = {
        JSON: made,
        NOTE: note.encode(),
        HTML: render_html(made).encode(),
        PDF: render_pdf(made),
        CSV: counter_csv(made).encode(),
        YAML: daily_yaml(made).encode(),
    }
    make_directory(directory, PUBLIC_DIRECTORY)
    for name, data in files.items():
        write_durably(directory / name, data, PUBLIC_FILE)
    return stated


def _statement(month: LedgerMonth, issue: Issue, made: bytes) -> Statement:
    return Statement.of(month.genesis.origin, month.month, issue.version, made)
