"""Kinds of fields: what a value may be, how it is read from JSON and written to it.

Each kind has the same four names: `read` (JSON to value), `check` (raise ModelError unless it is allowed), `write`
(value to JSON) and `says` (a few words for the documentation).  A field's path is passed in for the message.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import IntEnum, StrEnum
from typing import Protocol, TypeAlias

from node.model.rule import ModelError, Rule, gather

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"

# Controls, line ends, what turns the direction of writing (a reviewer would read another name), and lone surrogates.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class Kind(Protocol):
    """What a value of a field may be."""

    @property
    def says(self) -> str:
        """The kind in a few words: `text, 255`."""

    def read(self, value: object, field: str) -> object:
        """Return the value of its JSON.  Raises ModelError."""

    def check(self, value: object, field: str) -> None:
        """Raise ModelError unless the value is allowed."""

    def write(self, value: object) -> Json:
        """Return the JSON of a value."""


@dataclass(frozen=True, slots=True)
class Text:
    """Characters of Unicode in NFC, without control characters or spaces at its ends; not empty where it is required.

    `form` is a regular expression for the whole text, `example` what the message shows of it.
    """

    longest: int
    form: str = ""
    example: str = ""

    @property
    def says(self) -> str:
        return f"text, {self.longest}"

    def read(self, value: object, field: str) -> object:
        if not isinstance(value, str):
            raise ModelError(field, Rule.KIND, "give a text in double quotes")
        return unicodedata.normalize("NFC", value).strip()

    def check(self, value: object, field: str) -> None:
        if not isinstance(value, str):
            raise ModelError(field, Rule.KIND, "give a text in double quotes")
        if not value:
            raise ModelError(field, Rule.REQUIRED, "this is required")
        if len(value) > self.longest:
            raise ModelError(
                field, Rule.LENGTH, f"{len(value)} characters; at most {self.longest} are allowed"
            )
        if _CONTROLS.search(value) or value != value.strip():
            raise ModelError(
                field, Rule.FORM, "take out line ends, control characters and spaces at the ends"
            )
        if self.form and not re.fullmatch(self.form, value, re.ASCII):
            raise ModelError(field, Rule.FORM, f"write it like {self.example}")

    def write(self, value: object) -> Json:
        return str(value)


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number from `least` to `most`."""

    least: int
    most: int

    @property
    def says(self) -> str:
        return f"number, {self.least}–{self.most}"

    def read(self, value: object, field: str) -> object:
        return value

    def check(self, value: object, field: str) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ModelError(field, Rule.KIND, "give a whole number without quotes")
        if not self.least <= value <= self.most:
            raise ModelError(field, Rule.RANGE, f"give a number from {self.least} to {self.most}")

    def write(self, value: object) -> Json:
        return value if isinstance(value, int) else None


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the members of an enumeration; its JSON is the member's value."""

    among: type[IntEnum] | type[StrEnum]

    @property
    def says(self) -> str:
        return "one of " + ", ".join(f"`{member.value}`" for member in self.among)

    def read(self, value: object, field: str) -> object:
        if isinstance(value, int | str) and not isinstance(value, bool):
            for member in self.among:
                if member.value == value:
                    return member
        offered = ", ".join(f"{member.value} ({member.name.lower()})" for member in self.among)
        raise ModelError(field, Rule.CHOICE, f"give one of {offered}")

    def check(self, value: object, field: str) -> None:
        if not isinstance(value, self.among):
            self.read(object(), field)

    def write(self, value: object) -> Json:
        return value.value if isinstance(value, IntEnum | StrEnum) else None


@dataclass(frozen=True, slots=True)
class Day:
    """A date without time; its JSON is `yyyy-MM-dd`."""

    says: str = "date"

    def read(self, value: object, field: str) -> object:
        try:
            if not isinstance(value, str) or not _DAY.fullmatch(value):
                raise ValueError
            return date.fromisoformat(value)
        except ValueError:
            raise ModelError(field, Rule.FORM, "give a date as yyyy-MM-dd") from None

    def check(self, value: object, field: str) -> None:
        if type(value) is not date:
            raise ModelError(field, Rule.KIND, "give a date as yyyy-MM-dd")

    def write(self, value: object) -> Json:
        return value.isoformat() if isinstance(value, date) else None


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    says: str = "true or false"

    def read(self, value: object, field: str) -> object:
        return value

    def check(self, value: object, field: str) -> None:
        if not isinstance(value, bool):
            raise ModelError(field, Rule.KIND, "give true or false without quotes")

    def write(self, value: object) -> Json:
        return bool(value)


@dataclass(frozen=True, slots=True)
class Many:
    """A list of values of one kind, in the order given."""

    of: Kind
    most: int

    @property
    def says(self) -> str:
        return f"list of {self.of.says}, at most {self.most}"

    def read(self, value: object, field: str) -> object:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise ModelError(field, Rule.KIND, "give a list in square brackets")
        self._check_length(value, field)  # before the work of reading
        found, faults = [], []
        for place, each in enumerate(value):
            try:
                found.append(self.of.read(each, f"{field}.{place}"))
                self.of.check(found[-1], f"{field}.{place}")
            except ModelError as fault:
                faults.append(fault)
        if faults:
            raise gather(faults)
        return tuple(found)

    def check(self, value: object, field: str) -> None:
        if not isinstance(value, tuple):
            raise ModelError(field, Rule.KIND, "give a list in square brackets")
        if not value:
            raise ModelError(field, Rule.REQUIRED, "give at least one")
        self._check_length(value, field)
        for place, each in enumerate(value):
            self.of.check(each, f"{field}.{place}")

    def write(self, value: object) -> Json:
        return [self.of.write(each) for each in value] if isinstance(value, tuple) else []

    def _check_length(self, value: Sequence[object], field: str) -> None:
        if len(value) > self.most:
            raise ModelError(field, Rule.LENGTH, f"{len(value)} given; at most {self.most}")
