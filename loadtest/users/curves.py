"""Curves: how many users there are at a moment of a run."""

from collections.abc import Callable, Mapping
from math import ceil

BASE_SHARE = 0.2  # of the peak, before and after a spike
SPIKE_BEGIN, SPIKE_END = 0.4, 0.6
RISE_SHARE = 0.1  # of a soak's time, until all are there

Curve = Callable[[float], float]
"""Share of the time that has passed, 0 … 1 -> share of the peak."""


def ramp(passed: float) -> float:
    """More and more, all the time: where does it break?"""
    return passed


def soak(passed: float) -> float:
    """All of them soon, and then for long: what leaks?"""
    return min(1.0, passed / RISE_SHARE)


def spike(passed: float) -> float:
    """Few, then at once all, then few again: does it recover?"""
    return 1.0 if SPIKE_BEGIN <= passed < SPIKE_END else BASE_SHARE


CURVES: Mapping[str, Curve] = {"ramp": ramp, "soak": soak, "spike": spike}


def users_at(curve: Curve, seconds: float, *, length: float, peak: int) -> int | None:
    """Return how many users there are after so many seconds of `length`, at least one; None when it is over."""
    if seconds >= length:
        return None
    return max(1, ceil(peak * curve(seconds / length)))
