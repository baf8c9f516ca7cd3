"""HTML: a report as one file, without scripts and without anything from elsewhere.  Every text is escaped here."""

from collections.abc import Callable, Iterator, Sequence
from html import escape
from importlib.resources import files

from node.ledger.report.blocks import (
    Beside,
    Block,
    Commands,
    Edition,
    Facts,
    Heading,
    Numbers,
    PageBreak,
    Paragraph,
    Picture,
    Table,
)
from node.ledger.report.editions import editions
from node.ledger.report.words import Words

_TAGS = {"zh": "zh-CN", "en": "en"}
_SIGNS = {"+": "good", "-": "bad", "~": "open"}
_STYLE = (files("node.ledger.report") / "report.css").read_text("utf-8")


def render_html(document: bytes) -> str:
    """Return the page.  Raises as `editions`."""
    return page_of(editions(document))


def page_of(made: Sequence[Edition], style: str = "") -> str:
    """Return editions, one after the other, as a page; `style` is put behind its own."""
    links = "".join(
        f'<a href="#{each.language}">{escape(Words(each.language)("language"))}</a>'
        for each in made
    )
    title = " · ".join((made[0].running, *([made[0].mark] if made[0].mark else [])))
    return (
        f'<!DOCTYPE html>\n<html lang="{_TAGS[made[0].language]}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}{style}</style></head><body><nav>{links}</nav>"
        + "".join(map(_edition, made))
        + "</body></html>\n"
    )


def _edition(edition: Edition) -> str:
    marks = "".join(
        f'<span style="top:{top}px">{escape(edition.mark)}</span>' for top in range(240, 6_000, 700)
    )
    mark = f'<div class="mark" aria-hidden="true">{marks}</div>' if edition.mark else ""
    body = "".join(map(_block, edition.blocks))
    return f'<main id="{edition.language}" lang="{_TAGS[edition.language]}">{mark}{body}</main>'


def _block(block: Block) -> str:
    write: Callable[..., str] = _WRITERS[type(block)]
    return write(block)


def _heading(block: Heading) -> str:
    return f"<h{block.level}>{escape(block.text)}</h{block.level}>"


def _paragraph(block: Paragraph) -> str:
    return f'<p class="{block.tone}">{escape(block.text)}</p>'


def _facts(block: Facts) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in block.rows)
    return f"<dl>{rows}</dl>"


def _numbers(block: Numbers) -> str:
    cards = "".join(
        f'<div class="card"><span>{escape(name)}</span><b>{escape(number)}</b><span>{escape(remark)}</span></div>'
        for name, number, remark in block.cards
    )
    return f'<div class="cards">{cards}</div>'


def _table(block: Table) -> str:
    head = "".join(
        f'<th class="{kind}">{escape(text)}</th>'
        for kind, text in zip(block.layout, block.columns, strict=True)
    )
    rows = "".join(f"<tr>{''.join(_cells(block.layout, row))}</tr>" for row in block.rows)
    total = (
        f'<tr class="total">{"".join(_cells(block.layout, block.total))}</tr>'
        if block.total
        else ""
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}{total}</tbody></table></div>'


def _cells(layout: str, row: Sequence[str]) -> Iterator[str]:
    for kind, text in zip(layout, row, strict=True):
        if kind == "s":
            yield f'<td class="s {_SIGNS.get(text[:1], "")}">{escape(text[1:])}</td>'
        elif kind == "c":
            yield f'<td class="c"><i style="background:{escape(text[:7])}"></i>{escape(text[7:])}</td>'
        else:
            yield f'<td class="{kind}">{escape(text)}</td>'


def _picture(block: Picture) -> str:
    caption = f"<figcaption>{escape(block.caption)}</figcaption>" if block.caption else ""
    return f"<figure>{caption}{block.svg}</figure>"


def _beside(block: Beside) -> str:
    lines = "".join(f"<code>{escape(line)}</code>" for line in block.lines)
    return f'<div class="beside">{block.svg}<div>{lines}</div></div>'


def _commands(block: Commands) -> str:
    return f"<pre>{escape(chr(10).join(block.lines))}</pre>"


def _break(_block: PageBreak) -> str:
    return '<div class="break"></div>'


_WRITERS: dict[type[Block], Callable[..., str]] = {
    Heading: _heading,
    Paragraph: _paragraph,
    Facts: _facts,
    Numbers: _numbers,
    Table: _table,
    Picture: _picture,
    Beside: _beside,
    Commands: _commands,
    PageBreak: _break,
}
