"""Charts of a proof as SVG: bars over time, lines over time, and latencies on a scale of tens.

Only numbers stand in them, words beside them: one chart serves every language, and no font of the machine matters.
The values are whole numbers; how they are written on the scale is said by whoever has them drawn.
"""

from collections.abc import Callable, Mapping, Sequence
from math import ceil, floor, log10
from typing import NamedTuple

from node.ledger.report.charts import LINE, TEXT, WIDTH

HEIGHT = 160
COLOURS = ("#1f4e79", "#e0a030", "#6b8e5a", "#b3541e")

_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 10, 12, 24
_FONT = 'font-family="Noto Sans CJK TC, Noto Sans CJK SC, sans-serif" font-size="10"'
_MOST_LABELS = 12
_SECOND = 1_000_000  # of µs
_STEPS = (1, 2, 5, 10)

Format = Callable[[int], str]


class Slot(NamedTuple):
    """A stretch of time (µs from the beginning), and its values."""

    start: int
    end: int
    values: Sequence[int]


def bars(slots: Sequence[Slot], write: Format) -> str:
    """Return bars over time, the values of a slot on top of each other."""
    top = scale_end(max((sum(slot.values) for slot in slots), default=0))
    across = _Across(slots)
    parts = [*_grid(top, write), *across.labels()]
    for slot in slots:
        left, right = across.at(slot.start), across.at(slot.end)
        below = 0
        for value, colour in zip(slot.values, COLOURS, strict=False):
            y_top, y_low = _y(below + value, top), _y(below, top)
            parts.append(_rect(left, y_top, max(right - left - 0.6, 0.6), y_low - y_top, colour))
            below += value
    return _svg(parts)


def lines(slots: Sequence[Slot], write: Format) -> str:
    """Return a line over time for each value."""
    top = scale_end(max((max(slot.values, default=0) for slot in slots), default=0))
    across = _Across(slots)
    parts = [*_grid(top, write), *across.labels()]
    series = len(slots[0].values) if slots else 0
    for place, colour in zip(range(series), COLOURS, strict=False):
        points = [(across.at(slot.end), _y(slot.values[place], top)) for slot in slots]
        if len(points) == 1:
            points.insert(0, (across.at(slots[0].start), points[0][1]))
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return _svg(parts)


def percentiles(rows: Mapping[str, Sequence[int]], write: Format) -> str:
    """Return groups of bars on a scale of tens: a group for each label, a bar for each value (1 or more)."""
    values = [max(value, 1) for row in rows.values() for value in row] or [1]
    low, high = (
        floor(log10(min(values))),
        max(ceil(log10(max(values))), floor(log10(min(values))) + 1),
    )
    if min(values) == 10**low:
        low -= 1  # so that the smallest bar is seen
    inside = HEIGHT - _TOP - _BOTTOM
    parts = []
    for power in range(low, high + 1):
        y = HEIGHT - _BOTTOM - inside * (power - low) / (high - low)
        parts += [
            _line(y),
            _text(_LEFT - 6, y + 3.5, write(10**power) if power >= 0 else "", "end"),
        ]
    wide = (WIDTH - _LEFT - _RIGHT) / max(len(rows), 1)
    for place, (label, row) in enumerate(rows.items()):
        left = _LEFT + wide * place
        parts.append(_text(left + wide / 2, HEIGHT - 8, label, "middle"))
        each = wide * 0.8 / max(len(row), 1)
        for number, value in enumerate(row):
            tall = inside * (log10(max(value, 1)) - low) / (high - low)
            x, y = left + wide * 0.1 + each * number, HEIGHT - _BOTTOM - tall
            parts.append(_rect(x, y, each - 3, tall, COLOURS[number % len(COLOURS)]))
            parts.append(_text(x + (each - 3) / 2, y - 3, write(value), "middle"))
    return _svg(parts)


def scale_end(value: int) -> int:
    """Return the end of a scale: 1, 2, 5 or 10 times a power of ten, times 4, at or above the value."""
    quarter = max(ceil(value / 4), 1)
    power = int(10 ** floor(log10(quarter)))
    return 4 * next(step * power for step in _STEPS if step * power >= quarter)


class _Across:
    """The axis of time."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._end = max((slot.end for slot in slots), default=0) or 1

    def at(self, time: int) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * time / self._end

    def labels(self) -> list[str]:
        """Times in seconds, as many as fit."""
        wanted = self._end / _MOST_LABELS
        power = 10 ** floor(log10(wanted)) if wanted >= 1 else 1
        step = next(each * power for each in _STEPS if each * power >= wanted)
        return [
            _text(self.at(time), HEIGHT - 8, f"{time / _SECOND:g} s", "middle")
            for time in range(0, self._end - step // 3, step)
        ]


def _grid(top: int, write: Format) -> list[str]:
    parts = []
    for quarter in range(5):
        value = top * quarter // 4
        parts += [
            _line(_y(value, top)),
            _text(_LEFT - 6, _y(value, top) + 3.5, write(value), "end"),
        ]
    return parts


def _y(value: int, top: int) -> float:
    return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * value / top


def _line(y: float) -> str:
    return (
        f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{LINE}"'
        ' stroke-width="0.6"/>'
    )


def _rect(x: float, y: float, wide: float, tall: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{tall:.1f}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{TEXT}" {_FONT}>{text}</text>'
    )


def _svg(parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">'
    return head + "".join(parts) + "</svg>"
