"""The demo's screen: a live view in a terminal, one line a second elsewhere, and the proof at the end.

The view displays values and decides nothing. Alerts contain text from outside, so control characters are replaced and
markup is never interpreted. Without a terminal (logs, CI) the view writes one plain line a second.
"""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from agent.local.closing import harmless, proof_lines, proof_of
from agent.local.progress import LATEST_ALERTS, DemoProgress, Outcome
from agent.web.figures import count, duration

FRAMES_PER_SECOND: Final = 4
MAX_PROOF_WIDTH: Final = 110

_COLOURS: Final = {
    "emergency": "bold white on red",
    "alert": "bold white on red",
    "critical": "bold white on red",
    "error": "red",
    "warning": "yellow",
    "notice": "cyan",
    "informational": "green",
}


class DemoView:
    """Use `with DemoView() as view:`, call `view.show(progress)` any number of times, then `view.conclude(outcome)`."""

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
        """Write one line that stays on the screen, above the live view."""
        if self._console.is_terminal:
            self._console.print(Text(harmless(line)), soft_wrap=True)
        else:
            self._write_line(line)

    def show(self, progress: DemoProgress) -> None:
        """Draw at most four times a second in a terminal. Elsewhere write at most one line a second."""
        done = progress.arrived >= progress.target
        if not self._console.is_terminal:
            if progress.elapsed_seconds >= self._next_line_at or done:
                self._next_line_at = float(int(progress.elapsed_seconds) + 1)
                self._write_line(line_of(progress))
        elif progress.elapsed_seconds >= self._next_frame_at or done:
            self._next_frame_at = progress.elapsed_seconds + 1 / FRAMES_PER_SECOND
            self._live.update(frame_of(progress), refresh=True)

    def conclude(self, outcome: Outcome) -> None:
        """Write the proof, which stays on the screen."""
        if self._console.is_terminal:
            self._console.print(proof_of(outcome), width=min(self._console.width, MAX_PROOF_WIDTH))
            return
        for line in proof_lines(outcome):
            self._write_line(line)

    def _write_line(self, line: str) -> None:
        # Written to the file directly, because the console would wrap the line at its assumed width. Flushed at once
        # for readers that follow a log.
        self._console.file.write(f"{line}\n")
        self._console.file.flush()


def frame_of(progress: DemoProgress) -> RenderableType:
    """The live view of one moment."""
    body = Group(
        _head(progress),
        Text(),
        _bars(progress),
        Text(),
        _figures(progress),
        Text(),
        Text("Latest alerts to arrive: time, priority, rule, pod", "dim"),
        _alerts(progress),
    )
    return Padding(body, (1, 2, 0, 2))


def line_of(progress: DemoProgress) -> str:
    """The same moment as one line."""
    return (
        f"{progress.elapsed_seconds:5.0f} s  "
        f"written {count(progress.written)} ({count(progress.rate_written)}/s)  "
        f"arrived {count(progress.arrived)} of {count(progress.target)} ({count(progress.rate_arrived)}/s)  "
        f"under way {count(progress.under_way)}  requests {count(progress.puts)}  "
        f"duplicates {count(progress.duplicates)}" + ("  reading is paused" if progress.backpressure else "")
    )


def _head(progress: DemoProgress) -> Table:
    head = Table.grid(expand=True)
    head.add_column()
    head.add_column(justify="right")
    head.add_row(
        Text.assemble(("Falcowatch demo", "bold"), ("  Falco's alerts, from log files to CloudWatch Logs", "dim")),
        Text(duration(progress.elapsed_seconds), "bold"),
    )
    return head


def _bars(progress: DemoProgress) -> Table:
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
    return bars


def _figures(progress: DemoProgress) -> Text:
    figures = Text()
    for name, value, note in (
        ("under way", count(progress.under_way), ""),
        ("requests", count(progress.puts), f"({progress.put_rate:.1f}/s)"),
        ("duplicates", count(progress.duplicates), ""),
    ):
        figures.append(f"{name} ", "dim").append(value, "bold")
        figures.append(f" {note}" if note else "", "dim").append("    ")
    return figures.append("reading is paused", "yellow") if progress.backpressure else figures


def _alerts(progress: DemoProgress) -> Table:
    alerts = Table.grid(padding=(0, 2), expand=True)
    alerts.add_column(style="dim", no_wrap=True)
    alerts.add_column(no_wrap=True, min_width=8)
    alerts.add_column(no_wrap=True, overflow="ellipsis", ratio=3)
    alerts.add_column(no_wrap=True, overflow="ellipsis", ratio=2, style="dim")
    for alert in list(progress.latest_alerts)[-LATEST_ALERTS:]:
        alerts.add_row(
            Text(harmless(alert.time)),
            _priority(alert.priority),
            Text(harmless(alert.rule)),
            Text(harmless(alert.pod) or "-"),
        )
    for _ in range(LATEST_ALERTS - len(progress.latest_alerts)):
        alerts.add_row("", "", "", "")  # keeps the height of the view constant
    return alerts


def _priority(priority: str) -> Text:
    # "Informational" is shortened to the width of the other priorities.
    word = "Info" if priority == "Informational" else harmless(priority)
    return Text(word, _COLOURS.get(priority.lower(), "dim"))
