"""The result of an audit: a table for a person who files it, or JSON. Also the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.audit.findings import Finding
from agent.audit.kinds import EXPECTED_OF_RUNNING_NODES, Kind, Weight
from agent.audit.verify import NodeResult
from agent.web.figures import count, moment, plural, size

_MARKS = {Weight.PROBLEM: ("problem", "red"), Weight.OPEN: ("open", "yellow"), Weight.NOTE: ("note", "dim")}
_VERDICTS = {
    Weight.NOTE: ("Proved: nothing is missing, altered or forged.", "green"),
    Weight.OPEN: ("Proved as far as the data goes. The open points below say what it does not decide.", "yellow"),
    Weight.PROBLEM: ("Not proved. The problems below say what is wrong, and where.", "red"),
}
_COLUMNS = ("node", "result", "from", "proved up to", "events", "duplicates", "rejected", "gaps", "filtered")
_NUMBERS = ("events", "duplicates", "rejected", "gaps")
_UNLIMITED = 100_000
_EXIT_CODES = {Weight.NOTE: 0, Weight.PROBLEM: 1, Weight.OPEN: 3}


@dataclass(frozen=True, slots=True)
class AuditResult:
    """All nodes, and what was read."""

    sources: Sequence[str]
    """Log groups or files."""
    from_ms: int | None
    to_ms: int
    nodes: Sequence[NodeResult]
    events: int
    """Everything that was read, with duplicates, heartbeats and other events."""
    other_events: int
    accept_running: bool = False
    """Exit code 0 instead of 3 if nothing is open but the edges of the chosen time."""

    @property
    def weight(self) -> Weight:
        if not any(node.seals for node in self.nodes):
            return Weight.PROBLEM if any(node.findings.weight is Weight.PROBLEM for node in self.nodes) else Weight.OPEN
        weights = {node.findings.weight for node in self.nodes}
        return next(weight for weight in Weight if weight in weights)

    @property
    def misses_events(self) -> bool:
        """Some problem may disappear when older events are read, too."""
        kinds = {kind for node in self.nodes for kind in node.findings.counts}
        return bool(kinds & {Kind.COUNT_DIFFERS, Kind.DIGEST_DIFFERS})

    @property
    def exit_code(self) -> int:
        code = _EXIT_CODES[self.weight]
        return 0 if code == 3 and self.accept_running and self._only_edges_are_open else code

    @property
    def _only_edges_are_open(self) -> bool:
        """Never true without a seal: the audit of a wrong group or of an agent that stopped must not end with 0."""
        kinds = {kind for node in self.nodes for kind in node.findings.counts if kind.weight is Weight.OPEN}
        return any(node.seals for node in self.nodes) and kinds <= EXPECTED_OF_RUNNING_NODES

    @property
    def verdict(self) -> str:
        if not self.nodes:
            return "Nothing to prove: no event of an agent is in the data. Check the group, --node and the time."
        return _VERDICTS[self.weight][0]


def print_report(result: AuditResult, console: Console) -> None:
    since = "the beginning" if result.from_ms is None else moment(result.from_ms / 1000)
    console.print(Text(f"Audit of {', '.join(map(harmless, result.sources))}"))
    read = f"{plural(result.events, 'event')} from {since} to {moment(result.to_ms / 1000)}"
    console.print(Text(f"{read}, of {plural(len(result.nodes), 'node')}"))
    console.print()
    if result.nodes:
        _print_nodes(result.nodes, console)
        console.print()
    console.print(Text(result.verdict, f"bold {_VERDICTS[result.weight][1]}"))
    for node in result.nodes:
        _print_findings(node, console)
    if result.other_events:
        console.print()
        console.print(
            Text(f"{plural(result.other_events, 'event')} have no id of an agent; they prove nothing.", "dim")
        )


def as_json(result: AuditResult) -> dict[str, object]:
    return {
        "verdict": {Weight.NOTE: "proved", Weight.OPEN: "proved as far as the data goes"}.get(
            result.weight, "not proved"
        ),
        "exit_code": result.exit_code,
        "sources": list(result.sources),
        "from": None if result.from_ms is None else moment(result.from_ms / 1000),
        "to": moment(result.to_ms / 1000),
        "events": result.events,
        "other_events": result.other_events,
        "nodes": [_node_as_json(node) for node in result.nodes],
    }


def _node_as_json(node: NodeResult) -> dict[str, object]:
    return {
        "node": node.node,
        "result": node.findings.weight.value,
        "from": _moment(node.from_ms),
        "proved_up_to": _moment(node.proved_to_ms),
        "seals": node.seals,
        "events": node.events,
        "proved_events": node.proved,
        "duplicates": node.duplicates,
        "filtered": node.filtered,
        "rejected": node.rejected,
        "gaps": node.gaps,
        "gap_bytes": node.gap_bytes,
        "counts": {kind.title: number for kind, number in node.findings.counts.items()},
        "findings": [
            {
                "weight": finding.kind.weight.value,
                "kind": finding.kind.title,
                "where": finding.where,
                "stream": finding.stream,
                "detail": finding.detail,
                "time": _moment(finding.at_ms),
                "meaning": finding.kind.sentence,
            }
            for finding in node.findings
        ],
    }


def _moment(time_ms: int | None) -> str | None:
    return None if time_ms is None else moment(time_ms / 1000)


def _print_nodes(nodes: Sequence[NodeResult], console: Console) -> None:
    """As a table, with two spaces between columns or with one; where a table would cut numbers, as a list."""
    rows = [_cells(node) for node in nodes]
    numbers = _NUMBERS if any(node.filtered for node in nodes) else (*_NUMBERS, "filtered")
    unlimited = console.options.update(width=_UNLIMITED)
    for spaces in (2, 1):
        table = _table(rows, numbers, spaces)
        if console.measure(table, options=unlimited).maximum <= console.width:
            console.print(table)
            return
    for row in rows:
        for name, cell in zip(_COLUMNS, row, strict=True):
            console.print(Text(f"{name:<14}").append_text(cell))
        if row is not rows[-1]:
            console.print()


def _table(rows: Sequence[Sequence[Text]], numbers: Sequence[str], spaces: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, spaces, 0, 0))
    for name in _COLUMNS:
        table.add_column(name, justify="right" if name in numbers else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _cells(node: NodeResult) -> list[Text]:
    word, colour = _MARKS[node.findings.weight]
    filtered = ", ".join(f"{harmless(reason)} {count(number)}" for reason, number in node.filtered.items())
    return [
        Text(harmless(node.node)),
        Text("proved" if word == "note" else word, "green" if word == "note" else colour),
        Text(_moment(node.from_ms) or "-"),
        Text(_moment(node.proved_to_ms) or "-"),
        Text(count(node.events)),
        Text(count(node.duplicates)),
        Text(count(node.rejected)),
        Text(f"{count(node.gaps)} ({size(node.gap_bytes)})" if node.gaps else "0"),
        Text(filtered or "0"),
    ]


def _print_findings(node: NodeResult, console: Console) -> None:
    last: Kind | None = None
    for finding in node.findings:
        if finding.kind is not last:
            last = finding.kind
            word, colour = _MARKS[finding.kind.weight]
            total = node.findings.counts[finding.kind]
            console.print()
            title = f"{word}: {finding.kind.title}" + (f" ({count(total)})" if total > 1 else "")
            console.print(Text(f"{harmless(node.node)}: ").append(title, f"bold {colour}"))
            console.print(Text(f"  {finding.kind.sentence}", "dim"))
        console.print(Text(f"  {_line_of(finding)}"))


def _line_of(finding: Finding) -> str:
    stream = f" (stream {finding.stream})" if finding.stream else ""
    return harmless(f"{finding.where}: {finding.detail}{stream}" if finding.detail else f"{finding.where}{stream}")


def harmless(text: str) -> str:
    """The text without control characters, which a terminal would obey."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
