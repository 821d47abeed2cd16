"""The fleet as a table for a person, and as JSON for a program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.table import Table
from rich.text import Text

from agent.fleet.judgement import Fleet, Node

_LEFT: Final = ("node", "heard", "version", "falco", "settings")
_RIGHT: Final = ("lag", "unacked", "read", "shipped", "filtered", "rejected", "gaps", "drops")
_LEAST_NEEDED: Final = ("settings", "version", "unacked", "filtered", "shipped", "rejected", "gaps", "drops", "lag")
"""The columns that a narrow terminal leaves out, in this order. The findings below the table name what is wrong."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def table(fleet: Fleet, *, now_ms: int, window: str) -> RenderableType:
    """`window`: its length in words, such as 15m."""
    return Group(_Columns(fleet, now_ms), Text(), *_findings(fleet), _totals(fleet, window))


@dataclass(frozen=True, slots=True)
class _Columns:
    """As many columns as the terminal has room for."""

    fleet: Fleet
    now_ms: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        unbounded = options.update(max_width=10_000)
        for number in range(len(_LEAST_NEEDED) + 1):
            absent = _LEAST_NEEDED[:number]
            shown = self._without(absent)
            if console.measure(shown, options=unbounded).maximum <= options.max_width:
                break
        yield shown
        if absent:
            yield Text(f"left out in {options.max_width} columns: {', '.join(absent)}", style="dim")

    def _without(self, absent: tuple[str, ...]) -> Table:
        shown = Table(show_edge=False, pad_edge=False, box=None, header_style="bold")
        for name in (*_LEFT, *_RIGHT):
            if name not in absent:
                shown.add_column(name, justify="right" if name in _RIGHT else "left", no_wrap=True)
        for node in self.fleet.nodes:
            cells = zip((*_LEFT, *_RIGHT), _cells(node, self.now_ms), strict=True)
            row = [cell for name, cell in cells if name not in absent]
            shown.add_row(*row, style="dim" if node.gone else "")
        return shown


def as_json(fleet: Fleet, *, now_ms: int) -> dict[str, object]:
    return {
        "time_ms": now_ms,
        "needs_a_person": fleet.needs_a_person,
        "missing": fleet.missing,
        "totals": dict(fleet.totals),
        "nodes": [
            asdict(node.last)
            | {
                "gone": node.gone,
                "window": dict(node.window),
                "needs_a_person": node.needs_a_person,
                "findings": [asdict(finding) for finding in node.findings],
            }
            for node in fleet.nodes
        ],
    }


def _cells(node: Node, now_ms: int) -> Iterator[Text]:
    last, window = node.last, node.window
    odd = "red" if node.needs_a_person else "yellow" if node.findings else ""
    yield Text(last.node, style=odd)
    yield Text(f"{_duration((now_ms - last.time_ms) / 1000)} ago")
    yield Text(last.version or "-")
    yield Text(" ".join((*last.falco_versions, last.falco_state)) or "-")
    yield Text(last.settings[:8] or "-")
    yield Text(_duration(last.lag_seconds))
    yield Text(_duration(last.unacknowledged_seconds))
    for name in ("read", "shipped", "filtered", "rejected", "gaps", "syscall_drops"):
        wrong = "red" if window[name] and name in ("rejected", "gaps", "syscall_drops") else ""
        yield Text(f"{window[name]:,}", style=wrong)


def _findings(fleet: Fleet) -> Iterator[Text]:
    if fleet.missing:
        yield Text(f"missing: {fleet.missing} fewer than --expected says", style="red")
    for node in fleet.nodes:
        for finding in node.findings:
            style = "red" if finding.needs_a_person else "yellow"
            yield Text.assemble((node.last.node, style), f": {finding.text}")


def _totals(fleet: Fleet, window: str) -> Text:
    heard = sum(not node.gone for node in fleet.nodes)
    totals = fleet.totals
    nodes = "node" if heard == 1 else "nodes"
    return Text(
        f"{heard} {nodes} heard in the last {window}: {totals['read']:,} read, {totals['shipped']:,} shipped, "
        f"{totals['filtered']:,} filtered, {totals['rejected']:,} rejected, {totals['gaps']:,} gaps, "
        f"{totals['syscall_drops']:,} missed system calls"
    )


def _duration(seconds: float) -> str:
    seconds = max(0, round(seconds))
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m")):
        if seconds >= 2 * unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"
