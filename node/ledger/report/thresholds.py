"""Threshold profiles: what an authority asks for, as data (`profiles/*.json`), and how far a ledger meets it.

A condition is one of resolutions, which the ledger decides, or one that an attachment has to show, which it cannot.
A new region is a new file.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import NamedTuple

from node.ledger.canonical import Json

LANGUAGES = ("zh", "en")

Words = Mapping[str, str]
"""The same text in each language."""


class Metric(StrEnum):
    """What is counted."""

    RAW = "raw"
    FILTERED = "filtered"


class Scope(StrEnum):
    """Since when."""

    CUMULATIVE = "cumulative"  # since the ledger began
    YEAR = "year"  # since the year of the report began


class Standing(StrEnum):
    """What becomes of a condition."""

    PASS = "pass"  # noqa: S105  no password
    FAIL = "fail"
    ATTACHED = "attached"  # something else than this ledger has to show it


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that is asked for; `at_least` is 0 when an attachment shows it."""

    number: int
    text: Words
    at_least: int = 0
    metric: Metric = Metric.FILTERED
    scope: Scope = Scope.CUMULATIVE
    shown_by: Words | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """What one authority asks for."""

    id: str
    name: Words
    text: Words
    conditions: tuple[Condition, ...]

    @classmethod
    def parse(cls, data: bytes) -> "Profile":
        """Read a file.  Raises ValueError that says what is missing."""
        read = json.loads(data)
        try:
            conditions = tuple(_condition(each) for each in read["conditions"])
            return cls(read["id"], _words(read["name"]), _words(read["text"]), conditions)
        except (KeyError, TypeError) as error:
            raise ValueError(f"a threshold profile lacks {error}") from error


class Reached(NamedTuple):
    """Where a line was crossed: the day and its leaf; the leaf of the block and the time, µs, when bodies are here."""

    day: str
    day_leaf: int
    leaf: int | None = None
    time: int | None = None


Value = Callable[[Metric, Scope], int]
Find = Callable[[Metric, Scope, int], Reached | None]


def own_profiles() -> tuple[Profile, ...]:
    """Return the profiles that come with this version, in the order of their names, Weifang's first."""
    names = sorted((files("node.ledger.report") / "profiles").iterdir(), key=lambda each: each.name)
    read = [Profile.parse(each.read_bytes()) for each in names if each.name.endswith(".json")]
    return tuple(sorted(read, key=lambda each: each.id != "weifang-2022"))


def judge(profile: Profile, value: Value, find: Find) -> Json:
    """Return what a report says of a profile."""
    return {
        "id": profile.id,
        "name": dict(profile.name),
        "text": dict(profile.text),
        "conditions": [_judged(each, value, find) for each in profile.conditions],
    }


def _judged(condition: Condition, value: Value, find: Find) -> Json:
    said: dict[str, Json] = {"no": condition.number, "text": dict(condition.text)}
    if condition.shown_by is not None:
        return {**said, "standing": Standing.ATTACHED, "shown_by": dict(condition.shown_by)}
    metric, scope, least = condition.metric, condition.scope, condition.at_least
    found = value(metric, scope)
    said |= {
        "standing": Standing.PASS if found >= least else Standing.FAIL,
        "metric": metric,
        "scope": scope,
        "at_least": least,
        "value": found,
        "margin": found - least,
        "by_metric": {each: value(each, scope) for each in Metric},
    }
    reached = {each: find(each, scope, least) for each in Metric}
    said["reached"] = {
        each: _crossed(where) for each, where in reached.items() if where is not None
    }
    return said


def _crossed(reached: Reached) -> Json:
    told: dict[str, Json] = {"day": reached.day, "day_leaf": reached.day_leaf}
    if reached.leaf is not None and reached.time is not None:
        told |= {"leaf": reached.leaf, "t": reached.time}
    return told


def _condition(read: Mapping[str, object]) -> Condition:
    number, text = read["no"], _words(read["text"])
    if not isinstance(number, int):
        raise ValueError("the number of a condition is a whole number")
    if read["kind"] == "attachment":
        return Condition(number, text, shown_by=_words(read["shown_by"]))
    if read["kind"] != "resolutions":
        raise ValueError(f"there is no condition of the kind {read['kind']!r}")
    least = read["at_least"]
    if not isinstance(least, int) or isinstance(least, bool) or least < 1:
        raise ValueError("at_least is a whole number from 1")
    return Condition(number, text, least, Metric(str(read["metric"])), Scope(str(read["scope"])))


def _words(read: object) -> Words:
    if not isinstance(read, Mapping) or set(read) != set(LANGUAGES):
        raise ValueError(f"a text is given in {' and '.join(LANGUAGES)}")
    return {language: str(read[language]) for language in LANGUAGES}
