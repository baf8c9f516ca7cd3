"""Charts as SVG: bars and a scale, nothing else, so that a browser and a typesetter draw the same.

Numbers and days stand in them, words beside them: so one chart serves every language, and no font matters.
"""

from collections.abc import Sequence
from math import floor, log10

WIDTH, HEIGHT = 680, 170
DARK, LIGHT, LINE, TEXT = "#1f4e79", "#9dc3e6", "#c8ced6", "#444b55"
GOOD, BAD = "#2e7d4f", "#b3541e"

_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 8, 10, 22
_FONT = 'font-family="Noto Sans CJK TC, Noto Sans CJK SC, sans-serif" font-size="10"'


def bars(labels: Sequence[str], dark: Sequence[int], light: Sequence[int] = ()) -> str:
    """Return a chart of one bar a label: `dark`, and on top of it what `light` has more."""
    tops = [max(pair) for pair in zip(dark, light or dark, strict=True)]
    most = _round_up(max(tops, default=0))
    wide = (WIDTH - _LEFT - _RIGHT) / max(len(labels), 1)
    parts = _scale(most)
    every = 1 if len(labels) <= 31 else len(labels) // 31 + 1
    for at, (label, low, top) in enumerate(zip(labels, dark, tops, strict=True)):
        left = _LEFT + wide * at + wide * 0.14
        parts.append(_bar(left, wide * 0.72, low, top, most))
        if at % every == 0:
            middle = left + wide * 0.36
            parts.append(_text(middle, HEIGHT - 7, label, "middle"))
    return _svg(WIDTH, HEIGHT, parts)


def progress(value: int, target: int) -> str:
    """Return a bar that shows how far a value is towards a target, which has its mark."""
    width, height = WIDTH, 26
    most = max(value, target, 1) * 1.06
    filled, mark = width * value / most, width * target / most
    colour = GOOD if value >= target else BAD
    parts = [
        f'<rect x="0" y="4" width="{width}" height="12" fill="#eef1f4"/>',
        f'<rect x="0" y="4" width="{filled:.1f}" height="12" fill="{colour}"/>',
        f'<rect x="{mark - 1:.1f}" y="0" width="2" height="20" fill="#111"/>',
    ]
    return _svg(width, height, parts)


def shares(values: Sequence[int], colours: Sequence[str]) -> str:
    """Return one bar that is divided as the values are."""
    whole, left, parts = max(sum(values), 1), 0.0, []
    for value, colour in zip(values, colours, strict=True):
        wide = WIDTH * value / whole
        parts.append(f'<rect x="{left:.1f}" y="0" width="{wide:.1f}" height="16" fill="{colour}"/>')
        left += wide
    return _svg(WIDTH, 16, parts)


def _scale(most: int) -> list[str]:
    parts = []
    for step in range(5):
        value = most * step // 4
        y = _y(value, most)
        parts.append(
            f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{LINE}" stroke-width="0.6"/>'
        )
        parts.append(_text(_LEFT - 5, y + 3.5, f"{value:,}", "end"))
    return parts


def _bar(left: float, wide: float, low: int, top: int, most: int) -> str:
    y_top, y_low, y_zero = _y(top, most), _y(low, most), _y(0, most)
    return (
        f'<rect x="{left:.1f}" y="{y_top:.1f}" width="{wide:.1f}" height="{y_low - y_top:.1f}" fill="{LIGHT}"/>'
        f'<rect x="{left:.1f}" y="{y_low:.1f}" width="{wide:.1f}" height="{y_zero - y_low:.1f}" fill="{DARK}"/>'
    )


def _y(value: int, most: int) -> float:
    return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * value / most


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{TEXT}" {_FONT}>{text}</text>'
    )


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    return head + "".join(parts) + "</svg>"


def _round_up(value: int) -> int:
    """The end of a scale: 1, 2, 4 or 8 times a power of ten, at least 4, so that its quarters are whole."""
    if value <= 4:
        return 4
    power = int(10 ** floor(log10(value)))
    found = next(step * power for step in (1, 2, 4, 8, 10) if step * power >= value)
    return found if found % 4 == 0 else 4 * (found // 4 + 1)
