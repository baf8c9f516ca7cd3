"""Popularity: how often a cache has the answer when some identifiers are asked for much more often than others.

Rank k of N is asked for in proportion to 1/k**exponent (Zipf).  A cache that drops what was not asked for longest keeps
an identifier that is asked for p times as often as all together with 1 - exp(-p t), where t is the one number for which
these add up to what the cache holds (Che, Tung and Wang 2002; exact enough beyond some hundred entries).  Ranks are
taken together in classes as narrow as a part of themselves, so a billion of them cost a thousand steps.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import exp, expm1, log
from typing import NamedTuple

PARTS = 40  # classes a factor of e
STEPS = 200  # of the bisection


class Class(NamedTuple):
    """So many identifiers (a real number), each of which gets `share` of all questions."""

    size: float
    share: float


def zipf_classes(identifiers: int, exponent: float) -> list[Class]:
    """Return the classes of a Zipf law; shares times counts add up to 1.  Raises ValueError for none."""
    if identifiers < 1:
        raise ValueError("somebody has to be asked for")
    edges = _edges(identifiers)
    weights = [(high - low, _mean_weight(low, high, exponent)) for low, high in pairwise(edges)]
    whole = sum(size * weight for size, weight in weights)
    return [Class(size, weight / whole) for size, weight in weights]


def kept(classes: Sequence[Class], entries: float) -> list[float]:
    """Return the chance of each class's identifiers to be in a cache of so many entries."""
    if entries <= 0:
        return [0.0] * len(classes)
    if entries >= sum(each.size for each in classes if each.share > 0):
        return [1.0 if each.share > 0 else 0.0 for each in classes]
    low, high = 0.0, 1.0
    while _held(classes, high) < entries:
        high *= 2
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _held(classes, middle) < entries else (low, middle)
    return [-expm1(-each.share * high) for each in classes]


def hit_share(classes: Sequence[Class], chances: Sequence[float]) -> float:
    """Return the share of the questions that find their answer."""
    whole = sum(each.size * each.share for each in classes)
    found = sum(
        each.size * each.share * chance for each, chance in zip(classes, chances, strict=True)
    )
    return found / whole if whole else 0.0


def passed_on(classes: Sequence[Class], chances: Sequence[float]) -> list[Class]:
    """Return what the next cache is asked for: the same identifiers, as often as this one does not have them."""
    return [
        Class(each.size, each.share * (1 - chance))
        for each, chance in zip(classes, chances, strict=True)
    ]


def _edges(identifiers: int) -> list[float]:
    """Ranks one by one up to PARTS, then in equal parts of the logarithm; an edge at 0.5 behind each whole rank."""
    edges = [number + 0.5 for number in range(min(PARTS, identifiers) + 1)]
    last = identifiers + 0.5
    while edges[-1] < last:
        edges.append(min(edges[-1] * exp(1 / PARTS), last))
    return edges


def _mean_weight(low: float, high: float, exponent: float) -> float:
    """The mean of x**-exponent between two edges: within 1 % of the sum for rank 1, and better behind it."""
    if high - low <= 1.0 + 1e-9:
        return float(((low + high) / 2) ** -exponent)
    if exponent == 1.0:
        return log(high / low) / (high - low)
    power = 1.0 - exponent
    return float((high**power - low**power) / power / (high - low))


def _held(classes: Sequence[Class], seconds: float) -> float:
    return sum(each.size * -expm1(-each.share * seconds) for each in classes)
