"""The parts of a card: a question with its answer, bars, facts, tables.

The Content-Security-Policy allows no inline style, so widths of bars are SVG attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.web.figures import count, percent
from agent.web.findings import Level
from agent.web.markup import Child, Html, tag


def card(question: str, answer: Child, note: Child, *content: Child, kind: str, tone: Level) -> Html:
    return tag(
        "section",
        tag("h2", question),
        tag("p", tag("strong", answer), tag("span", note, class_="quiet"), class_="answer"),
        *content,
        class_=f"card {kind} {tone.value}",
    )


def stack(parts: Sequence[tuple[str, int]], whole: int) -> Html:
    """One bar, divided in proportion. A part that is not zero stays visible."""
    seen = [(name, max(0.6, percent(number, whole))) for name, number in parts if number > 0]
    scale = 100 / total if (total := sum(width for _, width in seen)) else 0
    bars, left = [], 0.0
    for name, width in seen:
        bars.append(tag("rect", x=f"{left:.3f}%", width=f"{width * scale:.3f}%", height="100%", class_=slug(name)))
        left += width * scale
    label = ", ".join(f"{name} {count(number)}" for name, number in parts)
    return tag("svg", *bars, class_="stack", role="img", aria_label=label)


def meter(name: str, value: float, most: float, written: str) -> Html:
    filled = percent(value, most)
    return tag(
        "div",
        tag("p", tag("span", name), tag("b", written)),
        tag(
            "svg",
            tag("rect", width=f"{filled:.2f}%", height="100%", class_="full" if filled >= 90 else "used"),
            role="img",
            aria_label=f"{name}: {written}",
        ),
        class_="meter",
    )


def facts(*facts: tuple[str, Child]) -> Html:
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in facts), class_="facts")


def table(heads: Sequence[str], rows: Sequence[Sequence[Child]], *, wide: int) -> Html:
    """`wide` is the index of the column of text; the other columns hold numbers."""
    return tag(
        "div",
        tag(
            "table",
            tag("thead", tag("tr", *(tag("th", head, scope="col") for head in heads))),
            tag(
                "tbody",
                *(
                    tag(
                        "tr",
                        *(tag("td", cell, data_head=heads[at] if at != wide else None) for at, cell in enumerate(row)),
                    )
                    for row in rows
                ),
            ),
        ),
        class_="scroll",
    )


def reasons(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{count(number)} {reason.replace('_', ' ')}" for reason, number in numbers.items() if number)


def slug(name: str) -> str:
    """A CSS class name made of the letters in `name`."""
    return "".join(char for char in name.lower() if char.isascii() and char.isalpha())
