"""The XML of EPP, read with suspicion: elements, attributes and text, and nothing else of what XML can do.

RFC 5730 asks for well-formed XML; a registration needs no document type, no entity of its own, no processing
instruction and no second encoding, and these are what attacks are made of.  So a message with any of them is refused
before it is read, and what is read has limits on size, depth and number.  expat of the standard library parses; it is
never allowed to see a declaration.  Our own choice: UTF-8 only (the RFC also allows UTF-16).
"""

import re
from dataclasses import dataclass
from xml.parsers import expat

from sync.channels.epp.codes import EppError, ResultCode

MAX_BYTES = 1 << 20
MAX_DEPTH = (
    8  # the deepest of ours: epp, command, update, ent:update, ent:chgAll, ent:contact, ent:name
)
MAX_ELEMENTS = 256
MAX_ATTRIBUTES = 8

EPP = "urn:ietf:params:xml:ns:epp-1.0"
_SCHEMA_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"

_DECLARATION = re.compile(
    rb"<!(?!--|\[CDATA\[)"
)  # DOCTYPE, ENTITY, ELEMENT, ATTLIST, NOTATION, conditional sections
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2
SPACE = " \t\r\n"  # what XML calls white space; str.strip() alone takes more
_ESCAPES = str.maketrans(
    {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        '"': "&quot;",
        "\t": "&#9;",
        "\n": "&#10;",
        "\r": "&#13;",
    }
)


@dataclass(frozen=True, slots=True)
class Element:
    """One element: its name in its namespace, and either text or children."""

    namespace: str
    name: str
    text: str = ""
    children: tuple["Element", ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()

    def attribute(self, name: str) -> str:
        """Return an attribute, or an empty text when it is absent."""
        return dict(self.attributes).get(name, "")


def is_writable(text: str) -> bool:
    """Whether XML can carry this text and a reader gets the same one back: no control characters, no outer space."""
    return _ILLEGAL.search(text) is None and text == text.strip(SPACE)


def parse(data: bytes) -> Element:
    """Return the root element of a message.  Raises EppError, always with code 2001."""
    _refuse_what_is_never_read(data)
    reader = _Reader()
    parser = expat.ParserCreate("UTF-8", " ")
    parser.buffer_text = True
    parser.ordered_attributes = True
    parser.XmlDeclHandler = reader.declaration
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.ProcessingInstructionHandler = reader.instruction
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise _syntax(
            f"this is not well-formed XML: {error}; correct it and send it again"
        ) from error
    return reader.root()


def write(root: Element, prefixes: dict[str, str]) -> bytes:
    """Return a message as bytes; `prefixes` gives the prefix of each namespace but EPP's own.

    Raises EppError when it would be longer than a message may be.
    """
    body = _written(root, "", prefixes)
    data = f'<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n{body}\n'.encode()
    if len(data) > MAX_BYTES:
        raise EppError(
            ResultCode.PARAMETER_VALUE_RANGE_ERROR,
            f"the message has {len(data)} bytes, {MAX_BYTES} are allowed; send smaller pictures",
        )
    return data


def _refuse_what_is_never_read(data: bytes) -> None:
    if len(data) > MAX_BYTES:
        raise _syntax(f"the message has {len(data)} bytes, {MAX_BYTES} are allowed; send less")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise _syntax("the message is not UTF-8; send it as UTF-8") from error
    if b"\0" in data:
        raise _syntax("the message is not UTF-8, it has zero bytes; send it as UTF-8")
    if _DECLARATION.search(data):
        raise _syntax(
            "document types and entities are not read here; send the message without <!…>"
        )


class _Reader:
    """Builds elements from what expat reports.  `_open` holds those begun and not ended, from the outside in."""

    def __init__(self) -> None:
        self._open: list[_Open] = []
        self._root: Element | None = None
        self._count = 0

    def root(self) -> Element:
        if self._root is None:  # expat refuses a document without a root before this can be
            raise _syntax("the message has no element; send one")
        return self._root

    def declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() != "utf-8":
            raise _syntax(f"the encoding {encoding} is not read here; send the message as UTF-8")

    def instruction(self, target: str, data: str) -> None:
        raise _syntax("processing instructions are not read here; send the message without <?…?>")

    def start(self, name: str, attributes: list[str]) -> None:
        self._count += 1
        if self._count > MAX_ELEMENTS:
            raise _syntax(f"the message has more than {MAX_ELEMENTS} elements; send less")
        if len(self._open) == MAX_DEPTH:
            raise _syntax(f"elements lie more than {MAX_DEPTH} deep; no command of EPP needs that")
        if len(attributes) > 2 * MAX_ATTRIBUTES:
            raise _syntax(f"an element has more than {MAX_ATTRIBUTES} attributes; send less")
        self._open.append(_Open(name, attributes))

    def characters(self, text: str) -> None:
        self._open[-1].text.append(text)

    def end(self, name: str) -> None:
        element = self._open.pop().close()
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._root = element


class _Open:
    """An element that has begun."""

    def __init__(self, name: str, attributes: list[str]) -> None:
        self.namespace, _, self.name = name.rpartition(" ")
        pairs = zip(attributes[::2], attributes[1::2], strict=True)
        self.attributes = tuple([pair for pair in pairs if _is_ours(pair[0])])
        self.text: list[str] = []
        self.children: list[Element] = []

    def close(self) -> Element:
        text = "".join(self.text).strip(SPACE)
        if text and self.children:
            raise _syntax(f"{self.name} has text beside its elements; remove the text")
        return Element(self.namespace, self.name, text, tuple(self.children), self.attributes)


def _is_ours(name: str) -> bool:
    """xsi:schemaLocation says where a schema lies: it is never fetched, and not kept."""
    return not name.startswith(f"{_SCHEMA_INSTANCE} ")


def _written(element: Element, around: str, prefixes: dict[str, str]) -> str:
    """An element as text; its namespace is declared where it differs from that of the element around it."""
    prefix = prefixes.get(element.namespace, "")
    name = f"{prefix}:{element.name}" if prefix else element.name
    pairs = list(element.attributes)
    if element.namespace != around:
        pairs.insert(0, (f"xmlns:{prefix}" if prefix else "xmlns", element.namespace))
    head = "".join([f' {key}="{value.translate(_ESCAPES)}"' for key, value in pairs])
    inner = "".join([_written(child, element.namespace, prefixes) for child in element.children])
    inner += element.text.translate(_ESCAPES)
    return f"<{name}{head}>{inner}</{name}>" if inner else f"<{name}{head}/>"


def _syntax(message: str) -> EppError:
    return EppError(ResultCode.COMMAND_SYNTAX_ERROR, message)
