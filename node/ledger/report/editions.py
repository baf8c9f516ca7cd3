"""Editions: a report's document as blocks in each language.  A pure function of the bytes of the document."""

import json

from node.ledger.report.appendix import appendix
from node.ledger.report.blocks import Edition
from node.ledger.report.front import front
from node.ledger.report.second import second
from node.ledger.report.texts import Document
from node.ledger.report.thresholds import LANGUAGES
from node.ledger.report.words import Words

SAMPLE_MARK = "SAMPLE 样例"


def editions(document: bytes) -> list[Edition]:
    """Return the report in each language.  Raises ValueError, KeyError for what is no report's document."""
    said: Document = json.loads(document)
    return [_edition(said, document, Words(language)) for language in LANGUAGES]


def _edition(said: Document, document: bytes, words: Words) -> Edition:
    blocks = (*front(said, words), *second(said, document, words), *appendix(said, words))
    return Edition(
        language=words.language,
        title=words("title"),
        running=f"{said['origin']} · {said['period']['month']}",
        page=words("page", page="{page}"),
        mark=SAMPLE_MARK if said["sample"] else "",
        blocks=blocks,
    )
