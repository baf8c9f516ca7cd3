"""Kinds of fields: what a value of a table may be, as JSON has it.

Each kind has the same two names: `says`, a few words for the documentation, and `check`, which raises Fault.  A reason
never quotes the value: it may be somebody's name, and reasons are logged.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from ipaddress import ip_address
from typing import Protocol, TypeAlias

MAX_NUMBER = 2**53 - 1  # what every JSON reader holds exactly (RFC 7493)

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", re.ASCII)
_NAME = re.compile(r"[a-z_]{1,32}", re.ASCII)
_DECIMAL = re.compile(r"(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{0,2}[1-9])?", re.ASCII)


class Code(StrEnum):
    """Why a row is refused, for a program; the reason beside it is for a person.  Our proposal."""

    ACCEPTED = "accepted"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    NOT_CANONICAL = "not_canonical"
    WRONG_KEY = "wrong_key"
    UNKNOWN_FIELD = "unknown_field"
    MISSING = "missing"
    WRONG_TYPE = "wrong_type"
    WRONG_LENGTH = "wrong_length"
    WRONG_FORM = "wrong_form"
    WRONG_CHOICE = "wrong_choice"
    OUT_OF_RANGE = "out_of_range"
    INCONSISTENT = "inconsistent"


class Fault(ValueError):
    """A value that a table does not take: which field, why, and what to do."""

    def __init__(self, code: Code, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.code = code
        self.field = field
        self.reason = reason


class Kind(Protocol):
    """What a value of a field may be."""

    @property
    def says(self) -> str:
        """The kind in a few words: `text, 255`."""

    def check(self, value: object, field: str) -> None:
        """Raise Fault unless the value is allowed."""


@dataclass(frozen=True, slots=True)
class Text:
    """Characters without control characters or outer spaces, at least one; `form` is for the whole text."""

    longest: int
    form: str = ""

    @property
    def says(self) -> str:
        return f"text, {self.longest}"

    def check(self, value: object, field: str) -> None:
        if not isinstance(value, str):
            raise Fault(Code.WRONG_TYPE, field, "give a text")
        if not 1 <= len(value) <= self.longest:
            raise Fault(
                Code.WRONG_LENGTH, field, f"{len(value)} characters; give 1 to {self.longest}"
            )
        if _CONTROLS.search(value) or value != value.strip():
            raise Fault(Code.WRONG_FORM, field, "remove control characters and outer spaces")
        if self.form and not re.fullmatch(self.form, value, re.ASCII):
            raise Fault(Code.WRONG_FORM, field, f"it must have the form {self.form}")


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number."""

    least: int = 0
    most: int = MAX_NUMBER

    @property
    def says(self) -> str:
        return f"number from {self.least}" + (f" to {self.most}" if self.most < MAX_NUMBER else "")

    def check(self, value: object, field: str) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            raise Fault(Code.WRONG_TYPE, field, "give a whole number")
        if not self.least <= value <= self.most:
            raise Fault(Code.OUT_OF_RANGE, field, f"give {self.least} to {self.most}")


@dataclass(frozen=True, slots=True)
class Milliseconds:
    """A length of time in milliseconds, as a text because canonical JSON has no fractions: `0.4`, `12`, `12.345`."""

    says: str = "milliseconds as text, three decimals at most"

    def check(self, value: object, field: str) -> None:
        if not isinstance(value, str):
            raise Fault(Code.WRONG_TYPE, field, "give milliseconds as a text, such as 12.345")
        if not _DECIMAL.fullmatch(value):
            raise Fault(Code.WRONG_FORM, field, "write 12 or 12.345, without needless zeros")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few numbers or words."""

    among: tuple[int, ...] | tuple[str, ...]

    @property
    def says(self) -> str:
        return "one of " + ", ".join([f"`{each}`" for each in self.among])

    def check(self, value: object, field: str) -> None:
        if type(value) is not type(self.among[0]) or value not in self.among:
            offered = ", ".join([str(each) for each in self.among])
            raise Fault(Code.WRONG_CHOICE, field, f"give one of {offered}")


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    says: str = "true or false"

    def check(self, value: object, field: str) -> None:
        if not isinstance(value, bool):
            raise Fault(Code.WRONG_TYPE, field, "give true or false")


@dataclass(frozen=True, slots=True)
class Day:
    """A day in Asia/Shanghai, `yyyy-MM-dd`."""

    says: str = "day, yyyy-MM-dd"

    def check(self, value: object, field: str) -> None:
        try:
            if not isinstance(value, str) or not _DAY.fullmatch(value):
                raise ValueError
            date.fromisoformat(value)
        except ValueError:
            raise Fault(Code.WRONG_FORM, field, "give a day as yyyy-MM-dd") from None


@dataclass(frozen=True, slots=True)
class Moment:
    """A time in UTC, to the second."""

    says: str = "time, yyyy-MM-ddTHH:mm:ssZ"

    def check(self, value: object, field: str) -> None:
        try:
            if not isinstance(value, str) or not _MOMENT.fullmatch(value):
                raise ValueError
            datetime.fromisoformat(value)
        except ValueError:
            raise Fault(Code.WRONG_FORM, field, "give a time as yyyy-MM-ddTHH:mm:ssZ") from None


@dataclass(frozen=True, slots=True)
class Address:
    """An IPv4 or IPv6 address, in any spelling, without a zone."""

    says: str = "IPv4 or IPv6 address"

    def check(self, value: object, field: str) -> None:
        try:
            if not isinstance(value, str) or "%" in value:
                raise ValueError
            ip_address(value)
        except ValueError:
            raise Fault(Code.WRONG_FORM, field, "give an IPv4 or IPv6 address") from None


@dataclass(frozen=True, slots=True)
class Many:
    """A list of values of one kind, in the order given, not empty: an empty list is left out."""

    of: Kind
    most: int

    @property
    def says(self) -> str:
        return f"list of {self.of.says}, at most {self.most}"

    def check(self, value: object, field: str) -> None:
        if not isinstance(value, list | tuple):
            raise Fault(Code.WRONG_TYPE, field, "give a list")
        if not 1 <= len(value) <= self.most:
            raise Fault(Code.WRONG_LENGTH, field, f"{len(value)} items; give 1 to {self.most}")
        for place, each in enumerate(value):
            self.of.check(each, f"{field}.{place}")


@dataclass(frozen=True, slots=True)
class Field:
    """A field: its name here, the standard's name, its kind, and whether it may be left out."""

    name: str
    chinese: str
    kind: Kind
    required: bool = True


Row: TypeAlias = Mapping[str, object]
Together: TypeAlias = Callable[[Row, str], None]  # the object, and the path above its fields


def fits(row: Row, above: str) -> None:
    """Say nothing against an object: the fields of most do not depend on each other."""


@dataclass(frozen=True, slots=True)
class Part:
    """An object inside a row; `name` is that of its section in docs/reference/tables.md."""

    name: str
    fields: tuple[Field, ...]
    check_together: Together = fits

    @property
    def says(self) -> str:
        return f"[{self.name}](#{self.name})"

    def check(self, value: object, field: str) -> None:
        if not isinstance(value, Mapping):
            raise Fault(Code.WRONG_TYPE, field, "give an object")
        check_fields(self.fields, value, f"{field}.")
        self.check_together(value, f"{field}.")


def check_fields(fields: tuple[Field, ...], given: Row, above: str = "") -> None:
    """Raise Fault unless the members of an object are these fields, each as it may be."""
    known = {field.name for field in fields}
    for name in given:
        if name not in known:
            shown = name if _NAME.fullmatch(name) else "?"  # a name that is data may say anything
            raise Fault(Code.UNKNOWN_FIELD, above + shown, "there is no such field; remove it")
    for field in fields:
        if field.name in given:
            field.kind.check(given[field.name], above + field.name)
        elif field.required:
            raise Fault(Code.MISSING, above + field.name, f"{field.chinese} is required")
