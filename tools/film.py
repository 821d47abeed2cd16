"""Draws what a program wrote to a terminal as an animated SVG, which loads nothing and runs no script.

All frames stand below each other in one strip. CSS moves the strip by one frame at a time behind a window. A line of
text that several frames show is in the file once. A reader who prefers no motion sees the last frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from typing import Final

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import SVG_EXPORT_THEME as THEME
from rich.text import Text

REDRAWN: Final = re.compile(r"\r(?:\x1b\[2K)?(?:\x1b\[1A\x1b\[2K)+")
"""What rich writes before it draws a frame over the last one."""

Frame = tuple[float, str]
"""Seconds for which the frame is shown, and its text with the colours of a terminal."""

_CELL: Final = 8.4
_LINE: Final = 18.0
_MARGIN: Final = 16.0
_TITLE: Final = 34.0
_BACKGROUND: Final = THEME.background_color.hex
_FOREGROUND: Final = THEME.foreground_color.hex


def moments_of(chunks: Iterable[tuple[float, str]]) -> list[tuple[float, str]]:
    """The frames that rich drew, each with the second of its drawing. `chunks`: seconds and what was written then."""
    starts: list[tuple[int, float]] = []
    screen = ""
    for seconds, text in chunks:
        starts.append((len(screen), seconds))
        screen += text
    cuts = [(0, 0), *((found.start(), found.end()) for found in REDRAWN.finditer(screen)), (len(screen), len(screen))]
    return [
        (max(seconds for at, seconds in starts if at <= begin), frame)
        for (_, begin), (end, _) in pairwise(cuts)
        if (frame := screen[begin:end]).strip()
    ]


def sampled(moments: Sequence[tuple[float, str]], every: float) -> list[str]:
    """The first frame of each interval of `every` seconds."""
    chosen: list[str] = []
    last = -1
    for seconds, frame in moments:
        if int(seconds / every) > last:
            last = int(seconds / every)
            chosen.append(frame)
    return chosen


def pages_of(text: str, lines: int) -> list[str]:
    """The text as a terminal with this number of lines shows it while it scrolls: the first page to the last one."""
    all_lines = text.replace("\r\n", "\n").strip("\n").split("\n")
    if len(all_lines) <= lines:
        return ["\n".join(all_lines)]
    starts = [*range(0, len(all_lines) - lines, lines), len(all_lines) - lines]
    return ["\n".join(all_lines[start : start + lines]) for start in starts]


def animated(frames: Sequence[Frame], *, columns: int, lines: int, title: str) -> str:
    """The SVG. A frame has to fit into `columns` and `lines`."""
    width, height = columns * _CELL, lines * _LINE
    known: dict[str, str] = {}
    strip = []
    for number, (_, text) in enumerate(frames):
        uses = []
        for row, segments in enumerate(_rows(text, columns)[:lines]):
            drawn = _drawn(segments)
            if drawn:
                name = known.setdefault(drawn, f"l{len(known)}")
                uses.append(f'<use href="#{name}" y="{row * _LINE:g}"/>')
        strip.append(f'<g transform="translate(0 {number * height:g})">{"".join(uses)}</g>')
    defined = "".join(f'<g id="{name}">{drawn}</g>' for drawn, name in known.items())
    whole_width, whole_height = width + 2 * _MARGIN, height + _TITLE + _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole_width:g} {whole_height:g}" role="img">'
        f"<title>{escape(title)}</title><style>{_css([seconds for seconds, _ in frames], height)}</style>"
        f"<defs>{defined}</defs>"
        f'<rect width="{whole_width:g}" height="{whole_height:g}" rx="8" fill="{_BACKGROUND}"/>'
        f'<text class="title" x="{whole_width / 2:g}" y="22" text-anchor="middle">{escape(title)}</text>'
        f'<svg x="{_MARGIN:g}" y="{_TITLE:g}" width="{width:g}" height="{height:g}"'
        f' viewBox="0 0 {width:g} {height:g}" overflow="hidden"><g class="strip">{"".join(strip)}</g></svg></svg>\n'
    )


def _css(seconds: Sequence[float], height: float) -> str:
    total = sum(seconds)
    steps, at = [], 0.0
    for number, each in enumerate(seconds):
        steps.append(f"{100 * at / total:.3f}%{{transform:translateY({-number * height:g}px)}}")
        at += each
    last = f"transform:translateY({-(len(seconds) - 1) * height:g}px)"
    return (
        f"text{{font:14px Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:{_FOREGROUND};white-space:pre}}"
        f".title{{font-weight:bold}}.b{{font-weight:bold}}.d{{opacity:.6}}"
        f".strip{{{last};animation:play {total:g}s step-end infinite}}"
        f"@keyframes play{{{''.join(steps)}100%{{{last}}}}}"
        "@media (prefers-reduced-motion:reduce){.strip{animation:none}}"
    )


def _rows(text: str, columns: int) -> list[list[Segment]]:
    console = Console(width=columns, force_terminal=True, color_system="truecolor")
    return console.render_lines(Text.from_ansi(text.replace("\r\n", "\n").strip("\n")), pad=False)


def _drawn(segments: Iterable[Segment]) -> str:
    """One line as SVG text. Each piece has its place and width, so every font gives the same columns."""
    drawn, column = [], 0
    for segment in segments:
        words, style, cells = segment.text, segment.style or Style(), segment.cell_length
        x, width = column * _CELL, cells * _CELL
        column += cells
        fill, behind = _colours(style)
        if behind:
            drawn.append(f'<rect x="{x:g}" width="{width:g}" height="{_LINE:g}" fill="{behind}"/>')
        if not words.strip():
            continue
        kinds = " ".join(name for name, is_so in (("b", style.bold), ("d", style.dim)) if is_so)
        drawn.append(
            f'<text x="{x:g}" y="13.5" textLength="{width:g}"'
            + (f' class="{kinds}"' if kinds else "")
            + (f' style="fill:{fill}"' if fill else "")
            + f' xml:space="preserve">{escape(words, quote=False)}</text>'
        )
    return "".join(drawn)


def _colours(style: Style) -> tuple[str, str]:
    """Foreground and background; empty: the usual one."""
    fill = style.color.get_truecolor(THEME).hex if style.color and not style.color.is_default else ""
    behind = style.bgcolor.get_truecolor(THEME, foreground=False).hex if style.bgcolor else ""
    return fill, "" if behind == _BACKGROUND else behind
