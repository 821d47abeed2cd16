"""Three kinds of SVG plots: lines over an axis, bars with numbers, and panels of bars. Same input, same bytes.

A plot contains text, lines and boxes on a white background, loads nothing and runs no script, so it looks the same in a
browser, in a README and in print. `reports` chooses and judges the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from textwrap import wrap
from typing import Final

WIDTH: Final = 760
HEIGHT: Final = 380
LEFT: Final = 70
RIGHT: Final = 200
TOP: Final = 64
BOTTOM: Final = 52
LEGEND_LETTERS: Final = 19
"""Letters of a line of the legend that fit at the right of the plot, also in a wide font."""
LEGEND_STEP: Final = 17
LEGEND_GAP: Final = 5
BAR_TOP: Final = 44
BAR_LEFT: Final = 210
BAR_RIGHT: Final = 90
BAR_STEP: Final = 30
PANEL_TOP: Final = 88
PANEL_LEFT: Final = 250
PANEL_WIDTH: Final = 142
PANEL_BAR: Final = 84
PANEL_STEP: Final = 30
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""The palette of Okabe and Ito, whose colours colour-blind readers can distinguish."""
GREY: Final = "#6b7280"
_FONT: Final = "font-family='system-ui, sans-serif' font-size='13' fill='#1f2937'"
_SMALL: Final = f"font-family='system-ui, sans-serif' font-size='12' fill='{GREY}'"
_HALO: Final = "paint-order='stroke' stroke='white' stroke-width='4'"
"""A white outline, so that text stays readable on a line."""


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis from `least` on. A logarithmic axis begins at the power of ten below the data."""

    name: str
    logarithmic: bool = False
    least: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Bar:
    name: str
    value: float
    colour: int = 0


@dataclass(frozen=True, slots=True)
class Panel:
    """One column of `panels`, with a value for each name; None: not measured."""

    name: str
    unit: str
    values: Sequence[float | None]
    digits: int = 0
    """Digits after the point."""
    is_loss: bool = False


def lines(title: str, x: Axis, y: Axis, drawn: Sequence[Line]) -> str:
    """A plot of lines with their names at the right."""
    across = _Scale.over(x, [point[0] for line in drawn for point in line.points], LEFT, WIDTH - RIGHT)
    up = _Scale.over(y, [point[1] for line in drawn for point in line.points], HEIGHT - BOTTOM, TOP)
    parts = []
    for value in up.ticks():
        at = up.at(value)
        parts.append(f"<path d='M{LEFT} {at:.1f}H{WIDTH - RIGHT}' stroke='#e5e7eb'/>")
        parts.append(_text(LEFT - 8, at + 4, _short(value), "end"))
    for value in across.ticks():
        at = across.at(value)
        parts.append(f"<path d='M{at:.1f} {HEIGHT - BOTTOM}v5' stroke='{GREY}'/>")
        parts.append(_text(at, HEIGHT - BOTTOM + 20, _short(value), "middle"))
    parts.append(f"<path d='M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}' stroke='{GREY}'/>")
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x.name, "middle"))
    parts.append(_text(LEFT - 54, TOP - 18, y.name))
    colours = iter(COLOURS * (len(drawn) // len(COLOURS) + 1))
    legend = TOP + 12
    for line in drawn:
        colour = next(colours)
        path = "M" + "L".join(f"{across.at(left):.1f} {up.at(high):.1f}" for left, high in line.points)
        parts.append(f"<path d='{path}' fill='none' stroke='{colour}' stroke-width='2'/>")
        if len(line.points) <= 20:
            parts += [
                f"<circle cx='{across.at(left):.1f}' cy='{up.at(high):.1f}' r='3' fill='{colour}'/>"
                for left, high in line.points
            ]
        parts.append(f"<path d='M{WIDTH - RIGHT + 14} {legend - 4}h22' stroke='{colour}' stroke-width='2'/>")
        for words in wrap(line.name, LEGEND_LETTERS):
            parts.append(_text(WIDTH - RIGHT + 42, legend, words))
            legend += LEGEND_STEP
        legend += LEGEND_GAP
    return _picture(title, HEIGHT, parts)


def bars(title: str, unit: str, drawn: Sequence[Bar]) -> str:
    """A plot of bars with their numbers."""
    height = BAR_TOP + BAR_STEP * len(drawn) + 14
    per_unit = (WIDTH - BAR_LEFT - BAR_RIGHT) / (max(bar.value for bar in drawn) or 1.0)
    parts = []
    for number, bar in enumerate(drawn):
        top = BAR_TOP + BAR_STEP * number
        parts.append(
            f"<rect x='{BAR_LEFT}' y='{top}' width='{bar.value * per_unit:.1f}' height='{BAR_STEP - 10}' "
            f"fill='{COLOURS[bar.colour % len(COLOURS)]}'/>"
        )
        parts.append(_text(BAR_LEFT - 8, top + 15, bar.name, "end"))
        parts.append(_text(BAR_LEFT + bar.value * per_unit + 6, top + 15, f"{_short(bar.value)} {unit}"))
    return _picture(title, height, parts)


def panels(title: str, names: Sequence[str], drawn: Sequence[Panel]) -> str:
    """A row of bars for each name and a column for each panel. The first name is highlighted."""
    height = PANEL_TOP + PANEL_STEP * len(names) + 10
    width = PANEL_LEFT + PANEL_WIDTH * len(drawn) + 16
    parts = [f"<rect x='8' y='{PANEL_TOP - 4}' width='{width - 16}' height='{PANEL_STEP}' fill='#eff6ff'/>"]
    for row, name in enumerate(names):
        weight = "" if row else " font-weight='600'"
        words = f"<text x='16' y='{_panel_baseline(row)}'{weight} {_FONT}>{escape(name)}</text>"
        parts.append(words)
    for column, panel in enumerate(drawn):
        left = PANEL_LEFT + PANEL_WIDTH * column
        parts.append(_text(left, PANEL_TOP - 34, panel.name))
        parts.append(f"<text x='{left}' y='{PANEL_TOP - 17}' {_SMALL}>{escape(panel.unit)}</text>")
        most = max((value for value in panel.values if value is not None), default=0.0) or 1.0
        for row, value in enumerate(panel.values):
            if value is None:
                parts.append(f"<text x='{left}' y='{_panel_baseline(row)}' {_SMALL}>not measured</text>")
                continue
            length = value / most * PANEL_BAR
            colour = COLOURS[1] if panel.is_loss else GREY if row else COLOURS[0]
            top = PANEL_TOP + PANEL_STEP * row
            parts.append(f"<rect x='{left}' y='{top}' width='{length:.1f}' height='{PANEL_STEP - 8}' fill='{colour}'/>")
            parts.append(_text(left + length + 5 * (length > 0), _panel_baseline(row), f"{value:,.{panel.digits}f}"))
    return _picture(title, height, parts, width)


def _panel_baseline(row: int) -> int:
    return PANEL_TOP + PANEL_STEP * row + 15


@dataclass(frozen=True, slots=True)
class _Scale:
    """Maps values to coordinates."""

    least: float
    most: float
    start: float
    end: float
    logarithmic: bool

    @classmethod
    def over(cls, axis: Axis, values: Sequence[float], start: float, end: float) -> _Scale:
        if axis.logarithmic:
            low = math.floor(math.log10(max(min(values), 1e-3)))
            return cls(low, max(low + 1, math.ceil(math.log10(max(values)))), start, end, True)
        least = min(values) if axis.least is None else axis.least
        step = _step(max(values) - least)
        return cls(least, max(least + step, math.ceil(max(values) / step) * step), start, end, False)

    def at(self, value: float) -> float:
        place = max(self.least, math.log10(max(value, 1e-3))) if self.logarithmic else value
        return self.start + (place - self.least) / (self.most - self.least) * (self.end - self.start)

    def ticks(self) -> Iterator[float]:
        if self.logarithmic:
            yield from (10.0**power for power in range(round(self.least), round(self.most) + 1))
            return
        step = _step(self.most - self.least)
        for number in range(math.ceil(self.least / step), math.floor(self.most / step + 1e-9) + 1):
            yield number * step


def _step(span: float) -> float:
    """A round step that divides the span into at most six parts."""
    if span <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(span / 6))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor * 6 >= span * (1 - 1e-9))


def _short(value: float) -> str:
    if abs(value) >= 1_000_000:
        return f"{value / 1e6:,.3g} M"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _text(left: float, baseline: float, words: str, anchor: str = "start") -> str:
    return f"<text x='{left:.1f}' y='{baseline:.1f}' text-anchor='{anchor}' {_HALO} {_FONT}>{escape(words)}</text>"


def _picture(title: str, height: int, parts: Sequence[str], width: int = WIDTH) -> str:
    size = f"width='{width}' height='{height}' viewBox='0 0 {width} {height}'"
    head = f"<svg xmlns='http://www.w3.org/2000/svg' {size} role='img'><title>{escape(title)}</title>"
    ground = f"<rect width='{width}' height='{height}' fill='white'/>"
    name = f"<text x='16' y='22' font-weight='600' {_FONT}>{escape(title)}</text>"
    return "\n".join([head, ground, name, *parts, "</svg>"]) + "\n"
