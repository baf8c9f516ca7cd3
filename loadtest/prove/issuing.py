"""Issuing: the files of a proof, rendered from `report.json` alone, and its signature."""

from pathlib import Path

from loadtest.prove.editions import editions
from loadtest.prove.scene import Scene
from loadtest.prove.statement import sign, statement
from node.ledger.logfiles import KEYS
from node.ledger.report.html import page_of
from node.ledger.report.pdf import typeset
from node.ledger.signing import SM2_KEY, load_signers

JSON, NOTE, HTML, PDF = "report.json", "report.note", "report.html", "report.pdf"

STYLE = """
@media screen{body:has(main:target) main:not(:target){display:none}}
main .card b{font-size:24px}td.r{white-space:nowrap}
"""
"""A language that was chosen is shown alone, without a script."""


def issue(scene: Scene, directory: Path, origin: str, campaign: int, document: bytes) -> None:
    """Write report, signature and renderings.  Raises LogDamaged, NoteError, TypesetError, OSError."""
    keys = scene.ledger / KEYS
    signers = load_signers(keys, origin, sm2=(keys / SM2_KEY).exists(), is_new=False)
    made = editions(document)
    page, pdf = page_of(made, STYLE).encode(), typeset(made)
    text = statement(origin, campaign, document, page, pdf)
    files = {JSON: document, HTML: page, PDF: pdf, NOTE: sign(text, signers).encode()}
    for name, data in files.items():
        (directory / name).write_bytes(data)
