"""PDF: a report typeset by typst from the template `report.typ`, with the one font that is embedded.

The template gets the blocks as data, so no text of a report is ever read as markup.  No font of the machine is used.
"""

import json
from collections.abc import Sequence
from importlib.resources import as_file, files
from typing import Literal

import typst

from node.ledger.report.blocks import Edition, as_data
from node.ledger.report.editions import editions

FONT_PACKAGE = "cvttf_NotoSansCJK_Regular"


class TypesetError(Exception):
    """The report could not be typeset; the text is typst's."""


def render_pdf(document: bytes) -> bytes:
    """Return the PDF.  Raises TypesetError, and as `editions`."""
    return typeset(editions(document))


def render_pages(document: bytes, dots_per_inch: int = 110) -> list[bytes]:
    """Return the pages as PNG, to be looked at.  Raises as `render_pdf`."""
    return typeset_pages(editions(document), dots_per_inch)


def typeset(made: Sequence[Edition]) -> bytes:
    """Return editions as PDF.  Raises TypesetError."""
    return _compile(made, "pdf")[0]


def typeset_pages(made: Sequence[Edition], dots_per_inch: int = 110) -> list[bytes]:
    """Return the same pages as PNG.  Raises TypesetError."""
    return _compile(made, "png", dots_per_inch)


def _compile(
    made: Sequence[Edition], kind: Literal["pdf", "png"], dots_per_inch: int | None = None
) -> list[bytes]:
    data = json.dumps(as_data(made), ensure_ascii=False)
    with (
        as_file(files("node.ledger.report") / "report.typ") as template,
        as_file(files(FONT_PACKAGE)) as fonts,
    ):
        try:
            pages: bytes | list[bytes] = typst.compile(
                template,
                format=kind,
                ppi=dots_per_inch,
                sys_inputs={"editions": data},
                font_paths=[fonts],
                ignore_system_fonts=True,
            )
        except RuntimeError as error:
            raise TypesetError(str(error)) from error
    return [pages] if isinstance(pages, bytes) else pages
