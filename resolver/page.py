"""Page: what a person sees of an answer, as HTML that needs nothing else: no script, no image, no other host.

Laws: everything that comes from a record or a request is escaped; only http and https values become links.
`POLICY` is the Content-Security-Policy to send along; it forbids what the pages do not use.
"""

from base64 import b64encode
from hashlib import sha256
from html import escape
from urllib.parse import quote

import orjson

from resolver.answer import Answer, Status
from resolver.identifier import Scheme
from resolver.render import json_values
from resolver.tombstone import Tombstone, tombstone_of
from resolver.wording import Wording

MAX_SHOWN_CHARACTERS = 4_000  # of one value; the JSON has the rest
MAX_LINK_CHARACTERS = 2_048

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881}
body{font:16px/1.5 system-ui,"Noto Sans CJK SC","Microsoft YaHei",sans-serif;max-width:64rem;
margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.4rem .6rem;border-bottom:1px solid var(--line)}
td{overflow-wrap:anywhere}
th,td:first-child,td:nth-child(n+4){white-space:nowrap}
pre{margin:0;white-space:pre-wrap;font-size:.85rem}
form{display:flex;gap:.5rem;flex-wrap:wrap;align-items:center;background:var(--soft);padding:.8rem}
input[name=hdl]{flex:1 1 20rem;font:inherit;padding:.3rem}
nav{margin:1.5rem 0}
"""
_STYLE_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


def form_page(words: Wording) -> bytes:
    """Return the page at `/`: a field for an identifier."""
    return _page(words, words.title, f"<p>{words.lead}</p>{_form(words)}")


def record_page(answer: Answer, asked: str, words: Wording) -> bytes:
    """Return the page of a found record: a table of its values by index."""
    values = orjson.loads(json_values(answer))
    stored = answer.stored.handle if answer.stored is not None else None
    name = stored.decode(errors="replace") if stored else asked
    rows = "".join(_row(value, words) for value in values)
    table = _table(words, rows) if rows else f"<p>{words.no_values}</p>"
    api = f'<nav><a href="/api/handles/{quote(name)}?pretty">{words.as_json}</a></nav>'
    return _page(words, asked, table + api + _form(words), heading=f"{words.record} · {asked}")


def outcome_page(answer: Answer, asked: str, words: Wording) -> bytes:
    """Return the page that says why there is no record, or where it is."""
    tombstone = tombstone_of(answer)
    heading, sentence = words.gone if tombstone is not None else words.outcomes[answer.status]
    body = f"<p><strong>{escape(asked)}</strong></p><p>{sentence}</p>"
    if tombstone is not None:
        body += _grave(tombstone, words)
    if answer.message and answer.status is Status.INVALID_HANDLE:
        body += f"<p>{escape(answer.message)}</p>"
    if answer.status is Status.NO_SUCH_VALUE:
        body += f'<p><a href="/{quote(asked)}?noredirect">{words.record}</a></p>'
    if answer.values:
        body += _sites(answer, asked, words)
    return _page(words, heading, body + _form(words))


def redirect_page(uri: str) -> bytes:
    """Return the short body of a redirect, for clients that do not follow it."""
    link = escape(uri)
    return f'<!doctype html><title>Redirect</title><a href="{link}">{link}</a>\n'.encode()


def _page(words: Wording, title: str, body: str, *, heading: str = "") -> bytes:
    return (
        f'<!doctype html><html lang="{words.language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{escape(heading or title)}</h1>{body}</body></html>\n"
    ).encode()


def _form(words: Wording) -> str:
    schemes = "".join(f'<option value="{scheme}">{scheme}</option>' for scheme in Scheme)
    return (
        '<form method="get" action="/">'
        f'<input name="hdl" required maxlength="2048" aria-label="{words.identifier}" '
        f'placeholder="{words.identifier}" autocomplete="off">'
        f'<select name="scheme" aria-label="{words.scheme}"><option value="">{words.any_scheme}</option>'
        f"{schemes}</select>"
        f'<label><input type="checkbox" name="noredirect"> {words.show_record}</label>'
        f"<button>{words.resolve}</button></form>"
    )


def _table(words: Wording, rows: str) -> str:
    names = (words.index, words.type, words.data, words.ttl, words.timestamp)
    head = "".join(f"<th>{name}</th>" for name in names)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _row(value: dict[str, object], words: Wording) -> str:
    ttl = value.get("ttl")
    cells = (
        escape(str(value.get("index"))),
        escape(str(value.get("type"))),
        _data(value.get("data")),
        f"{ttl} {words.seconds}" if isinstance(ttl, int) else escape(str(ttl)),
        escape(str(value.get("timestamp", ""))),
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _data(data: object) -> str:
    value = data.get("value") if isinstance(data, dict) else data
    if isinstance(value, str):
        return _linked(value)
    shown = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return f"<pre>{escape(_cut(shown))}</pre>"


def _linked(text: str) -> str:
    if text.lower().startswith(("http://", "https://")) and len(text) <= MAX_LINK_CHARACTERS:
        return f'<a rel="noreferrer nofollow" href="{escape(text)}">{escape(text)}</a>'
    return escape(_cut(text))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_CHARACTERS else text[:MAX_SHOWN_CHARACTERS] + " …"


def _grave(tombstone: Tombstone, words: Wording) -> str:
    """Say when a record was deleted, and why."""
    rows = [(words.deleted_at, tombstone.moment)]
    rows += [(words.reason, tombstone.reason)] if tombstone.reason else []
    cells = "".join(f"<tr><th>{name}</th><td>{escape(text)}</td></tr>" for name, text in rows)
    return f"<table>{cells}</table>"


def _sites(answer: Answer, asked: str, words: Wording) -> str:
    """List the servers of a referral, with a link where one of them speaks HTTP."""
    rows = "".join(
        f"<li>{escape(address)}{_web_link(server, address, asked, words)}</li>"
        for value in orjson.loads(json_values(answer))
        if isinstance(site := value["data"]["value"], dict)
        for server in site.get("servers", ())
        if isinstance(address := server.get("address"), str)
    )
    return f"<h2>{words.server}</h2><ul>{rows}</ul>" if rows else ""


def _web_link(
    server: dict[str, list[dict[str, object]]], address: str, asked: str, words: Wording
) -> str:
    host = f"[{address}]" if ":" in address else address
    for interface in server.get("interfaces", ()):
        protocol = str(interface.get("protocol")).lower()
        if interface.get("query") and protocol in ("http", "https"):
            href = f"{protocol}://{host}:{interface['port']}/{quote(asked)}"
            return f' · <a rel="noreferrer" href="{escape(href)}">{words.go}</a>'
    return ""
