"""The end of the demo: the steps of the chaos, the audit's own report, and the second check.

The audit's report is printed by the audit, so it looks as `falcowatch audit` prints it. The second check compares the
events with the log files, which only a demo can do. Both exist for a terminal and as plain lines for a log.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agent.audit.report import print_report
from agent.local.chaos import Act, Entry
from agent.local.progress import Outcome
from agent.web.figures import count, duration, size

STEP_COLOURS: Final = {
    Act.KILL: "bold red",
    Act.FAIL: "yellow",
    Act.FLOOD: "bold magenta",
    Act.ROTATE: "cyan",
    Act.START: "green",
    Act.RECOVER: "green",
}

PLAIN_WIDTH: Final = 200
"""Width of the audit's table in a log, where nothing may be folded."""


def proof_of(outcome: Outcome) -> RenderableType:
    """The closing panel, which follows the audit's report."""
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

    parts: list[RenderableType] = [_headline(outcome), Text(), Text(_second_check(outcome)), counts, Text()]
    parts += map(Text, _costs(outcome))
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
    """The audit's report and the second check as plain lines."""
    audit = io.StringIO()
    print_report(outcome.audit, Console(file=audit, highlight=False, soft_wrap=True, width=PLAIN_WIDTH))
    numbers = ("written", "arrived", "lost", "altered", "duplicates")
    return [
        *(line.rstrip() for line in audit.getvalue().splitlines()),
        "",
        _headline(outcome).plain,
        _second_check(outcome),
        *(f"  {name:<11}{count(getattr(outcome, name)):>12}" for name in numbers),
        *(f"  {cost}" for cost in _costs(outcome)),
        *(f"  next: {harmless(step)}  {harmless(purpose)}" for step, purpose in outcome.next_steps),
    ]


def steps_of(entries: Sequence[Entry]) -> Table:
    """The steps of the chaos: the second, the step, and its effect."""
    steps = Table.grid(padding=(0, 2))
    steps.add_column(justify="right", no_wrap=True, style="dim")
    steps.add_column()
    for entry in entries:
        text = Text(entry.text, STEP_COLOURS[entry.act])
        steps.add_row(f"{entry.at:.0f} s", text.append(f"  {entry.note}" if entry.note else "", "dim"))
    return steps


def harmless(text: str) -> str:
    """The text without control characters, which a terminal would obey. `Text` keeps rich from reading markup."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _count_of_bad(value: int) -> Text:
    return Text(count(value), "bold red" if value else "bold green")


def _headline(outcome: Outcome) -> Text:
    if not outcome.is_proved:
        return Text("Not proved: the audit above says what is missing, altered or undecided.", "bold red")
    return Text("Proved from CloudWatch alone: every alert is there, unchanged, and none is forged.", "bold green")


def _second_check(outcome: Outcome) -> str:
    if outcome.is_equal:
        return "Second check, with the log files: every alert arrived, unchanged."
    return f"Second check, with the log files: {count(outcome.lost)} alerts lost, {count(outcome.altered)} altered."


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
