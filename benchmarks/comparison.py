"""The agent beside other log shippers: the first table and the first picture of docs/benchmarks.md.

The numbers of a peer come from the newest stored run that measured it, and its CPU time is compared with that of the
agent in the same run. What no stored run has measured is shown as not measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from benchmarks.known_peers import KNOWN_PEERS, KnownPeer
from benchmarks.results import was_busy
from benchmarks.svg import Panel, panels

Found = Mapping[str, Any]

OURS: Final = "falcowatch"
NOT_MEASURED: Final = "not measured here"
PICTURE: Final = "comparison.svg"
NBSP: Final = "\N{NO-BREAK SPACE}"
VARIANTS: Final = {
    "falcowatch-no-seals": "without seals",
    "falcowatch-plain": "without compression",
    "falcowatch-gzip": "with compression",
}
FIRST_DEFAULTS: Final = "compression none, no seals"
"""The defaults of the agent on the day of the runs that do not state them."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Alerts of one part of `benchmarks.losses`."""

    lost: int
    written: int
    twice: int
    ends: int = 0
    """How often the log shipper ended by itself."""

    def __str__(self) -> str:
        twice = f"; {self.twice:,} sent twice" if self.twice else ""
        ends = f"; it ended {self.ends} × by itself" if self.ends else ""
        return f"{self.lost:,} of {self.written:,}{twice}{ends}"


@dataclass(frozen=True, slots=True)
class Compared:
    """One row. A value is None when no stored run has it."""

    title: str
    metadata: str
    times: float | None = None
    """CPU time as a multiple of the agent's in the same run."""
    peak_mb: float | None = None
    wire_bytes: float | None = None
    kills: Loss | None = None
    outage: Loss | None = None
    tails: bool = True
    """Whether it follows a file that grows. If not, its losses are not measured."""
    runs: tuple[int, ...] = ()
    """The numbers of the runs that measured it."""


class Runs:
    """The stored runs of `catch_up` and `losses`, and the numbers of those that a row came from."""

    def __init__(self, results: Mapping[str, Found]) -> None:
        self._results = results
        self.used: list[tuple[str, Found]] = []

    def row(self, program: str, shipper: str) -> tuple[Found, Found, int] | None:
        """The newest run of the program with this shipper, the shipper's row in it, and the number of the run."""
        for found in self._newest_first(program):
            for row in found["rows"]:
                if row["shipper"] == shipper:
                    return found, row, self._number(program, found)
        return None

    def _newest_first(self, program: str) -> list[Found]:
        of_it = [found for name, found in self._results.items() if name == program or name.startswith(f"{program}-")]
        return sorted(of_it, key=lambda found: str(_date(found)), reverse=True)

    def _number(self, program: str, found: Found) -> int:
        entry = (program, found)
        if entry not in self.used:
            self.used.append(entry)
        return self.used.index(entry) + 1


def section(results: Mapping[str, Found]) -> tuple[Sequence[Mapping[str, str]], list[str]]:
    """The rows of the table, and a sentence about each run."""
    runs = Runs(results)
    rows = [_cells(row) for row in compared(runs)]
    return rows, [_about(number, *run) for number, run in enumerate(runs.used, 1)]


def picture(results: Mapping[str, Found]) -> Mapping[str, str]:
    rows = compared(Runs(results))
    if rows[0].times is None:
        return {}
    drawn = (
        Panel("CPU time an alert", "Falcowatch = 1", [row.times for row in rows], digits=1),
        Panel("memory at most", "MB", [row.peak_mb for row in rows]),
        Panel("on the wire an alert", "bytes", [row.wire_bytes for row in rows]),
        Panel("lost by kill -9", "alerts", [_lost(row.kills) for row in rows], is_loss=True),
        Panel("lost in an outage", "alerts", [_lost(row.outage) for row in rows], is_loss=True),
    )
    title = "The same alerts, the same sink, the same machine. Shorter is better."
    return {PICTURE: panels(title, [row.title for row in rows], drawn)}


def compared(runs: Runs) -> list[Compared]:
    """The agent, then each known peer."""
    return [
        _compared(runs, OURS, "Falcowatch", "of the pod in the alert"),
        *(
            replace(_compared(runs, known.name, _title(runs, known), known.metadata or "none"), tails=known.tails)
            for known in KNOWN_PEERS
        ),
    ]


def _compared(runs: Runs, name: str, title: str, metadata: str) -> Compared:
    cost, losses = runs.row("catch_up", name), runs.row("losses", name)
    values: dict[str, Any] = {}
    if cost is not None:
        found, row, _ = cost
        beside = next(
            each for each in found["rows"] if (each["shipper"], each["tls"]) == (OURS, row["tls"])
        )  # the agent with TLS or without it, like the peer
        values |= {
            "times": row["us_per_alert"] / beside["us_per_alert"],
            "peak_mb": row["peak_mb"],
            "wire_bytes": row["wire_bytes"],
        }
    if losses is not None:
        _, row, _ = losses
        values["kills"] = Loss(row["lost_by_kills"], row["written"], row["sent_twice_after_kills"])
        values["outage"] = Loss(
            row["lost_by_outage"], row["written_in_outage"], row["sent_twice_after_outage"], row["ended_by_itself"]
        )
    return Compared(title, metadata, runs=tuple(run[2] for run in (cost, losses) if run is not None), **values)


def _title(runs: Runs, known: KnownPeer) -> str:
    """The peer's name with the version that was measured."""
    measured = runs.row("catch_up", known.name) or runs.row("losses", known.name)
    version = measured[0].get("versions", {}).get(known.name, "") if measured else ""
    return f"{known.title} {version}".strip() + (f", {known.variant}" if known.variant else "")


def _cells(row: Compared) -> Mapping[str, str]:
    name = f"**{row.title}**" if row.title == "Falcowatch" else row.title
    return {
        "log shipper": name,
        "CPU time an alert": NOT_MEASURED if row.times is None else f"{row.times:.1f}{NBSP}×",
        "memory at most": NOT_MEASURED if row.peak_mb is None else f"{row.peak_mb:.0f}{NBSP}MB",
        "on the wire an alert": NOT_MEASURED if row.wire_bytes is None else f"{row.wire_bytes:,.0f}{NBSP}bytes",
        "lost by kill -9": _losses(row, row.kills),
        "lost in an outage": _losses(row, row.outage),
        "pod metadata": row.metadata,
        "run": ", ".join(map(str, row.runs)) or "none",
    }


def _losses(row: Compared, loss: Loss | None) -> str:
    if not row.tails:
        return "does not follow a file that grows"
    return str(loss or NOT_MEASURED)


def _about(number: int, program: str, found: Found) -> str:
    setting = found["setting"]
    parts = [f"`benchmarks.{program}` on {_date(found)}", f"{setting.get('machine', 'unknown')}"]
    parts.append(f"{setting['cores']} cores")
    sentences = [f"**Run {number}:** {', '.join(parts)}. {found['title'][0].upper()}{found['title'][1:]}."]
    sentences.append(f"Falcowatch had its defaults of that day: {found.get('defaults', FIRST_DEFAULTS)}.")
    sentences += _costs(found) if program == "catch_up" else []
    if found["quick"]:
        sentences.append("It was a quick run: these numbers show that the program works, and nothing else.")
    if busy := was_busy(setting):
        sentences.append(busy)
    return " ".join(sentences)


def _costs(found: Found) -> Iterator[str]:
    """The agent's CPU time in this run, with what its defaults cost, and the peers that ran without TLS."""
    cost = {(row["shipper"], row["tls"]): f"{row['us_per_alert']:.1f}{NBSP}µs" for row in found["rows"]}
    ours = [f"{cost[OURS, 'on']} of CPU time an alert"]
    ours += [f"{cost[name, 'on']} {words}" for name, words in VARIANTS.items() if (name, "on") in cost]
    yield f"It used {', '.join(ours)}."
    plain = [name for name, tls in cost if tls == "off" and name != OURS]
    if plain:
        yield (
            f"{' and '.join(plain)} cannot trust the sink's certificate and ran without TLS, beside Falcowatch without "
            f"TLS ({cost[OURS, 'off']})."
        )


def _date(found: Found) -> Any:
    return found.get("date", found["setting"].get("date", "an unknown day"))


def _lost(loss: Loss | None) -> float | None:
    return None if loss is None else float(loss.lost)
