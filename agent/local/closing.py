"""The demo's closing proof: as a panel for a terminal, and as plain lines for a log."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agent.local.progress import Outcome
from agent.web.figures import count, duration, size


def proof_of(outcome: Outcome) -> RenderableType:
    """The closing panel."""
    colour = "green" if outcome.holds else "red"
    counts = Table.grid(padding=(0, 3))
    counts.add_column(no_wrap=True)
    counts.add_column(justify="right", no_wrap=True)
    counts.add_column(style="dim")
    counts.add_row("written", Text(count(outcome.written), "bold"), "alerts written to the log files")
    counts.add_row("arrived", Text(count(outcome.arrived), "bold"), "of these, read back from the embedded CloudWatch")
    counts.add_row("lost", _count_of_bad(outcome.lost), "written, but not arrived")
    counts.add_row("altered", _count_of_bad(outcome.altered), "arrived with other bytes than written")
    counts.add_row("duplicates", Text(count(outcome.duplicates), "bold"), "sent again; a duplicate has the same id")

    parts: list[RenderableType] = [_verdict(outcome, colour), Text(), counts, Text(), *map(Text, _costs(outcome))]
    if outcome.next_steps:
        steps = Table.grid(padding=(0, 3))
        steps.add_column(style="cyan", overflow="fold")
        steps.add_column(style="dim")
        for step, purpose in outcome.next_steps:
            steps.add_row(Text(harmless(step)), Text(harmless(purpose)))
        parts += [Text(), Text("What to try next", "bold"), steps]
    return Panel(
        Group(*parts), title=Text("proof", f"bold {colour}"), title_align="left", border_style=colour, box=box.ROUNDED,
        padding=(1, 2),
    )  # fmt: skip


def proof_lines(outcome: Outcome) -> list[str]:
    """The same proof as plain lines."""
    numbers = ("written", "arrived", "lost", "altered", "duplicates")
    return [
        _verdict(outcome, "").plain,
        *(f"  {name:<11}{count(getattr(outcome, name)):>12}" for name in numbers),
        *(f"  {cost}" for cost in _costs(outcome)),
        *(f"  next: {harmless(step)}  {harmless(purpose)}" for step, purpose in outcome.next_steps),
    ]


def harmless(text: str) -> str:
    """The text without control characters, which a terminal would obey. `Text` keeps rich from reading markup."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _count_of_bad(value: int) -> Text:
    return Text(count(value), "bold red" if value else "bold green")


def _verdict(outcome: Outcome, colour: str) -> Text:
    if outcome.holds:
        return Text("Every alert arrived, unchanged.", f"bold {colour}")
    words = f"The proof failed: {count(outcome.lost)} alerts lost, {count(outcome.altered)} altered."
    return Text(words, f"bold {colour}")


def _costs(outcome: Outcome) -> list[str]:
    per_second = count(outcome.arrived / max(outcome.seconds, 0.001))
    agent = []
    if outcome.cpu_seconds is not None:
        agent.append(f"{outcome.cpu_seconds:.1f} s of CPU time including its start")
    if outcome.peak_bytes is not None:
        agent.append(f"{size(outcome.peak_bytes)} peak memory")
    return [
        f"{duration(outcome.seconds)} in total, {per_second} alerts a second",
        *([f"the agent used {' and '.join(agent)}"] if agent else []),
    ]
