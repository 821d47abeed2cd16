"""What a person sees of the demo: live while it runs, plain lines where nobody watches, and at the end the proof.

Shows values and decides nothing. Alerts carry names from outside, so nothing of them is obeyed by the
terminal. Without a terminal it writes one line a second, for logs and CI.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from agent.web.figures import count, duration, size

FRAMES_PER_SECOND: Final = 4
MOST_ALERTS: Final = 8
WIDEST: Final = 110

_COLOURS: Final = {
    "emergency": "bold white on red",
    "alert": "bold white on red",
    "critical": "bold white on red",
    "error": "red",
    "warning": "yellow",
    "notice": "cyan",
    "informational": "green",
}


@dataclass(frozen=True, slots=True)
class LastAlert:
    time: str
    """As it is to be shown, such as `12:03:44`."""
    priority: str
    rule: str
    pod: str
    """`namespace/name`; empty: the host itself, or not known."""


@dataclass(frozen=True, slots=True)
class DemoProgress:
    """One moment of a demo."""

    target: int
    """Alerts that will be written."""
    written: int
    arrived: int
    duplicates: int
    elapsed_seconds: float
    rate_written: float = 0.0
    """Alerts a second, lately; see `Rate`."""
    rate_arrived: float = 0.0
    lag_bytes: int = 0
    puts: int = 0
    put_rate: float = 0.0
    backpressure: bool = False
    last_alerts: Sequence[LastAlert] = ()
    """Newest last."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a demo has proved."""

    written: int
    arrived: int
    """Different ones."""
    duplicates: int
    altered: int
    """Arrived, but not with the bytes that were written."""
    seconds: float
    cpu_seconds: float | None = None
    """Of CPU that the agent used, from its start to its end."""
    peak_bytes: int | None = None
    """The agent's resident memory at its highest."""
    next_steps: Sequence[tuple[str, str]] = ()
    """What to run or open next, and what one finds there."""

    @property
    def lost(self) -> int:
        return self.written - self.arrived

    @property
    def holds(self) -> bool:
        return not (self.lost or self.altered)


class Rate:
    """How fast a count has grown lately."""

    def __init__(self, window_seconds: float = 2.0) -> None:
        self._window_seconds = window_seconds
        self._seen: deque[tuple[float, int]] = deque()

    def update(self, total: int, now: float) -> float:
        """A second, over the window."""
        self._seen.append((now, total))
        while len(self._seen) > 2 and now - self._seen[1][0] >= self._window_seconds:
            self._seen.popleft()
        since, before = self._seen[0]
        return (total - before) / (now - since) if now > since else 0.0


class DemoView:
    """`with DemoView() as view: view.show(progress)`, as often as one likes; then `view.conclude(outcome)`."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._live = Live(
            console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop", redirect_stderr=False
        )
        self._next_frame_at = 0.0
        self._next_line_at = 0.0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def announce(self, line: str) -> None:
        """One line that stays, above the view when there is one."""
        if self._console.is_terminal:
            self._console.print(Text(harmless(line)), soft_wrap=True)
        else:
            self._write_line(line)

    def show(self, progress: DemoProgress) -> None:
        """Draws at most four times a second, or writes a line at most once a second."""
        done = progress.arrived >= progress.target
        if not self._console.is_terminal:
            if progress.elapsed_seconds >= self._next_line_at or done:
                self._next_line_at = float(int(progress.elapsed_seconds) + 1)
                self._write_line(line_of(progress))
        elif progress.elapsed_seconds >= self._next_frame_at or done:
            self._next_frame_at = progress.elapsed_seconds + 1 / FRAMES_PER_SECOND
            self._live.update(frame_of(progress), refresh=True)

    def conclude(self, outcome: Outcome) -> None:
        """The proof, which stays."""
        if self._console.is_terminal:
            self._console.print(proof_of(outcome), width=min(self._console.width, WIDEST))
            return
        for line in proof_lines(outcome):
            self._write_line(line)

    def _write_line(self, line: str) -> None:
        # Whole, however narrow the console takes itself to be, and at once, since somebody may follow a log.
        self._console.file.write(f"{line}\n")
        self._console.file.flush()


def frame_of(progress: DemoProgress) -> RenderableType:
    """The live view of one moment."""
    head = Table.grid(expand=True)
    head.add_column()
    head.add_column(justify="right")
    head.add_row(
        Text.assemble(("Falcowatch demo", "bold"), ("  Falco's alerts, from log files to CloudWatch Logs", "dim")),
        Text(duration(progress.elapsed_seconds), "bold"),
    )

    bars = Table.grid(padding=(0, 2), expand=True)
    bars.add_column(no_wrap=True)
    bars.add_column(ratio=1)
    bars.add_column(justify="right", no_wrap=True, min_width=len(count(progress.target)))
    bars.add_column(justify="right", no_wrap=True, min_width=9)
    for name, value, rate, style in (
        ("written", progress.written, progress.rate_written, "cyan"),
        ("arrived", progress.arrived, progress.rate_arrived, "green"),
    ):
        bar = ProgressBar(
            total=max(1, progress.target), completed=value, complete_style=style, finished_style=f"bold {style}"
        )
        bars.add_row(name, bar, Text(count(value), "bold"), Text(f"{count(rate)}/s", "dim"))

    alerts = Table.grid(padding=(0, 2), expand=True)
    alerts.add_column(style="dim", no_wrap=True)
    alerts.add_column(no_wrap=True, min_width=8)
    alerts.add_column(no_wrap=True, overflow="ellipsis", ratio=3)
    alerts.add_column(no_wrap=True, overflow="ellipsis", ratio=2, style="dim")
    for alert in list(progress.last_alerts)[-MOST_ALERTS:]:
        alerts.add_row(
            Text(harmless(alert.time)), _priority(alert.priority), Text(harmless(alert.rule)), Text(harmless(alert.pod))
        )
    for _ in range(MOST_ALERTS - len(progress.last_alerts)):
        alerts.add_row("", "", "", "")  # so that nothing below jumps

    body = Group(head, Text(), bars, Text(), _facts(progress), Text(), Text("last to arrive", "dim"), alerts)
    return Padding(body, (1, 2, 0, 2))


def line_of(progress: DemoProgress) -> str:
    """The same in one line."""
    return (
        f"{progress.elapsed_seconds:5.0f} s  "
        f"written {count(progress.written)} ({count(progress.rate_written)}/s)  "
        f"arrived {count(progress.arrived)} of {count(progress.target)} ({count(progress.rate_arrived)}/s)  "
        f"lag {size(progress.lag_bytes)}  puts {count(progress.puts)}  duplicates {count(progress.duplicates)}"
        + ("  reading waits" if progress.backpressure else "")
    )


def proof_of(outcome: Outcome) -> RenderableType:
    """The closing panel."""
    colour = "green" if outcome.holds else "red"
    books = Table.grid(padding=(0, 3))
    books.add_column(no_wrap=True)
    books.add_column(justify="right", no_wrap=True)
    books.add_column(style="dim")
    books.add_row("written", Text(count(outcome.written), "bold"), "alerts, as Falco wrote them")
    books.add_row("arrived", Text(count(outcome.arrived), "bold"), "read back and compared byte for byte")
    books.add_row("lost", _count_of_bad(outcome.lost), "")
    books.add_row("altered", _count_of_bad(outcome.altered), "")
    books.add_row("duplicates", Text(count(outcome.duplicates), "bold"), "each event carries an id to tell them by")

    parts: list[RenderableType] = [_verdict(outcome, colour), Text(), books, Text(), *map(Text, _costs(outcome))]
    if outcome.next_steps:
        steps = Table.grid(padding=(0, 3))
        steps.add_column(style="cyan", overflow="fold")
        steps.add_column(style="dim")
        for what, finds in outcome.next_steps:
            steps.add_row(Text(harmless(what)), Text(harmless(finds)))
        parts += [Text(), Text("Where to look next", "bold"), steps]
    return Panel(
        Group(*parts), title=Text("proof", f"bold {colour}"), title_align="left", border_style=colour, box=box.ROUNDED,
        padding=(1, 2),
    )  # fmt: skip


def proof_lines(outcome: Outcome) -> list[str]:
    """The same as plain lines."""
    numbers = ("written", "arrived", "lost", "altered", "duplicates")
    return [
        _verdict(outcome, "").plain,
        *(f"  {name:<11}{count(getattr(outcome, name)):>12}" for name in numbers),
        *(f"  {cost}" for cost in _costs(outcome)),
        *(f"  next: {harmless(what)}  {harmless(finds)}" for what, finds in outcome.next_steps),
    ]


def harmless(text: str) -> str:
    """Without anything that a terminal would obey. (What rich would obey is kept out by `Text`.)"""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _facts(progress: DemoProgress) -> Text:
    facts = Text()
    for name, value, note in (
        ("lag", size(progress.lag_bytes), ""),
        ("puts", count(progress.puts), f"{progress.put_rate:.1f}/s"),
        ("duplicates", count(progress.duplicates), ""),
    ):
        facts.append(f"{name} ", "dim").append(value, "bold")
        facts.append(f" {note}" if note else "", "dim").append("    ")
    return facts.append("reading waits for CloudWatch", "yellow") if progress.backpressure else facts


def _priority(priority: str) -> Text:
    # Falco's longest word is shortened, so that the column does not move.
    word = "Info" if priority == "Informational" else harmless(priority)
    return Text(word, _COLOURS.get(priority.lower(), "dim"))


def _count_of_bad(value: int) -> Text:
    return Text(count(value), "bold red" if value else "bold green")


def _verdict(outcome: Outcome, colour: str) -> Text:
    if outcome.holds:
        return Text("Every alert arrived, unchanged.", f"bold {colour}")
    words = f"The proof fails: {count(outcome.lost)} lost, {count(outcome.altered)} altered."
    return Text(words, f"bold {colour}")


def _costs(outcome: Outcome) -> list[str]:
    speed = f"{duration(outcome.seconds)}, {count(outcome.arrived / max(outcome.seconds, 0.001))} alerts a second"
    agent = []
    if outcome.cpu_seconds is not None:
        agent.append(f"{outcome.cpu_seconds:.1f} s of CPU, its start included")
    if outcome.peak_bytes is not None:
        agent.append(f"{size(outcome.peak_bytes)} of memory at most")
    return [speed, *([f"the agent: {', '.join(agent)}"] if agent else [])]
