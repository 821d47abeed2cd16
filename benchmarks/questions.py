"""The questions that the benchmarks answer: of each its goal, its verdict, its tables and its plots.

All of them functions of what a program wrote to results/. The numbers are the programs'; a goal that a program does
not judge itself is judged here, from its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.svg import Axis, Bar, Line, bars, lines

Found = Mapping[str, Any]
Rows = Sequence[Mapping[str, Any]]

MOST_US: Final = 6.0
MOST_OF_THE_FLOOR: Final = 1.4
LEAST_TIMES_A_PEER: Final = 3.0
MOST_PEAK_MB: Final = 120.0
SAID_OF_PEERS: Final[Mapping[str, str]] = {
    "fluent-bit": "fluent-bit adds no pod metadata, so it sends smaller events",
    "fluent-bit-kubernetes": "fluent-bit-kubernetes adds metadata by its kubernetes filter, of Falco's own pod",
    "fluent-bit-crash-safe": "fluent-bit-crash-safe buffers on disk as well",
}
"""Of those in peers/: what they do of our job."""
LATENCY_GOALS: Final[Sequence[Mapping[str, float]]] = (
    {"p99_ms": 50.0},
    {"p50_ms": 150.0, "puts_a_second": 5.0},
    {"p99_ms": 400.0},
    {"p99_ms": 1000.0},
)
"""Of the cases, in their order: alone, 50 and 2,000 a second, a Critical in the flood."""
LEAST_WAITING: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Judgement:
    """`met` is None where no goal was set."""

    words: str
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """`name` is the program's, and of its result."""

    name: str
    title: str
    how: str
    goal: str
    verdict: Callable[[Found], Iterable[Judgement]]
    tables: Callable[[Found], Iterable[tuple[str, Rows]]]
    plots: Callable[[Found], Mapping[str, str]]


def _judged(what: str, found: float, limit: float, unit: str, *, at_least: bool = False) -> Judgement:
    met = found >= limit if at_least else found <= limit
    bound = "at least" if at_least else "at most"
    return Judgement(f"{what}: {found:.3g} {unit} ({bound} {limit:g})", met)


def _own_verdict(found: Found) -> Iterator[Judgement]:
    """By the rows that say themselves whether they met their goal."""
    for row in found["rows"]:
        said = row.get("met") or row.get("goal")
        if said in ("met", "missed"):
            yield Judgement(_name(row), said == "met")


def _name(row: Mapping[str, Any]) -> str:
    """What stands before its first fraction."""
    parts: list[str] = []
    for column, value in row.items():
        if isinstance(value, float):
            break
        parts.append(f"{value:,}" if isinstance(value, int) else f"{column} {value}" if parts else str(value))
        if column == "when":
            break
    return ", ".join(parts)


def _rows(found: Found) -> Iterator[tuple[str, Rows]]:
    yield found["title"][0].upper() + found["title"][1:], found["rows"]


def _catch_up_verdict(found: Found) -> Iterator[Judgement]:
    ours = next(row for row in found["rows"] if row["shipper"] == "falcowatch" and row["tls"] == "on")
    yield _judged("CPU of an alert, with TLS", ours["us_per_alert"], MOST_US, "µs")
    yield _judged("against the floor of the same run", ours["us_per_alert"] / ours["floor_us"], MOST_OF_THE_FLOOR, "×")
    yield _judged("resident at most", ours["peak_mb"], MOST_PEAK_MB, "MB")
    for row in found["rows"]:
        if not row["shipper"].startswith("falcowatch") and row["tls"] == "on":
            times = row["us_per_alert"] / ours["us_per_alert"]
            what = f"alerts per CPU-second against {row['shipper']}, side by side"
            yield _judged(what, times, LEAST_TIMES_A_PEER, "×", at_least=True)
            if row["shipper"] in SAID_OF_PEERS:
                yield Judgement(f"{SAID_OF_PEERS[row['shipper']]} (benchmarks/peers).")
    for row in found["rows"]:
        if row["shipper"] == "falcowatch-gzip":
            of_the_floor = row["us_per_alert"] / row["floor_us"]
            yield Judgement(
                f"With cloudwatch.compression=gzip: {row['us_per_alert']:.3g} µs, {of_the_floor:.3g} × the floor, "
                f"{row['wire_bytes'] / ours['wire_bytes']:.0%} of the bytes on the wire."
            )
    if found["absent_peers"] != "none":
        yield Judgement(f"Not run beside it, so not compared: {found['absent_peers']}.")


def _catch_up_plots(found: Found) -> dict[str, str]:
    drawn = []
    for tls in ("on", "off"):
        rows = [row for row in found["rows"] if row["tls"] == tls]
        drawn += [Bar(f"{row['shipper']}, TLS {tls}", row["us_per_alert"], at) for at, row in enumerate(rows)]
        drawn += [Bar(f"the floor, TLS {tls}", rows[0]["floor_us"], 5)] if rows else []
    return {"cost.svg": bars("CPU of an alert when catching up", "µs", drawn, MOST_US)}


def _latency_verdict(found: Found) -> Iterator[Judgement]:
    units = {"p50_ms": "ms at p50", "p99_ms": "ms at p99", "puts_a_second": "puts a second"}
    for row, goals in zip(found["rows"], LATENCY_GOALS, strict=True):
        for column, limit in goals.items():
            value = row[column]
            if value is None:
                yield Judgement(f"{row['case']}: none arrived", met=False)
            else:
                yield _judged(row["case"], value, limit, units[column])
    waiting = found["rows"][-1]["still_waiting"]
    # Without it the case of the Critical was an easier one than the goal's.
    yield Judgement(
        f"the flood left {waiting:,} Notices waiting (at least {LEAST_WAITING:,})", waiting >= LEAST_WAITING
    )


def _latency_plots(found: Found) -> dict[str, str]:
    """Where the program kept whole distributions, these; else what its table says of them."""
    title = "From write to receipt"
    columns = ("p50_ms", "p99_ms", "worst_ms")
    if "distributions" not in found:
        drawn = [
            Bar(f"{_case(row)}, {column.removesuffix('_ms')}", row[column], at)
            for row in found["rows"]
            for at, column in enumerate(columns)
            if row[column] is not None
        ]
        return {"latency.svg": bars(title, "ms", drawn)}
    curves = [
        Line(name, [(percent, value) for percent, value in enumerate(values) if value is not None])
        for name, values in found["distributions"].items()
    ]
    across, up = Axis("percent of the alerts arrived sooner", least=0.0), Axis("milliseconds", logarithmic=True)
    return {"latency.svg": lines(title, across, up, [line for line in curves if line.points])}


def _case(row: Mapping[str, Any]) -> str:
    """Its first words: a bar has no room for more."""
    return str(row["case"]).partition(" in ")[0].partition(" after ")[0]


def _memory_plots(found: Found) -> dict[str, str]:
    up = Axis("resident MB", least=0.0)
    backlogs, day = found["backlogs"], found["long_time"]
    drawn = [
        Line(name, [(row["backlog_mb"], row[column]) for row in backlogs])
        for name, column in (
            ("CloudWatch away", "away_mb"), ("catching up", "draining_mb"), ("most", "draining_most_mb"),
        )
    ]  # fmt: skip
    waiting = lines("Memory against backlog", Axis("MB that wait", logarithmic=True), up, drawn)
    drawn = [
        Line(name, [(row["rotations"], row[column]) for row in day])
        for name, column in (("median", "resident_mb"), ("most", "most_mb"))
    ]
    lasting = lines("Memory against time", Axis("rotations of the log (144: a day)", least=0.0), up, drawn)
    return {"memory-backlog.svg": waiting, "memory-time.svg": lasting}


def _scale_plots(found: Found) -> dict[str, str]:
    across, up = Axis("how many", logarithmic=True), Axis("µs of CPU an alert", least=0.0)
    drawn = [
        Line(name, [(row["number"], row["us_per_alert"]) for row in found[name]])
        for name in ("alerts", "files", "pods")
    ]
    return {"scale.svg": lines("CPU of an alert against their number, files and pods", across, up, drawn)}


def _start_plots(found: Found) -> dict[str, str]:
    drawn = [Bar(f"enrichment {row['enrichment']}, TLS {row['tls']}", row["seconds"]) for row in found["rows"]]
    return {"start.svg": bars("Process start to first put", "s", drawn, found["goal_seconds"])}


def _fleet_tables(found: Found) -> Iterator[tuple[str, Rows]]:
    yield from _rows(found)
    yield "With about that number of nodes, and more; times in seconds", found["beyond"]
    yield "A storm on every node; times in seconds", found["storms"]


def _fleet_plots(found: Found) -> dict[str, str]:
    quotas = dict.fromkeys(row["quota"] for row in found["storms"])
    drained = [
        (quota, [(row["nodes"], row["drained_last"]) for row in found["storms"] if row["quota"] == quota])
        for quota in quotas
    ]
    drawn = [Line(f"{quota:,} puts a second", points) for quota, points in drained]
    across, up = Axis("nodes", logarithmic=True), Axis("seconds until the last is drained", logarithmic=True)
    return {"fleet.svg": lines("A storm on every node against the account's quota", across, up, drawn)}


def _no_goal(_: Found) -> Iterator[Judgement]:
    yield Judgement("No number was set as the goal; the tables are the answer.")


QUESTIONS: Final = (
    Question(
        "catch_up", "What does an alert cost?",
        "A full log of 1 KB lines: decoding, the pods' metadata, PutLogEvents; all CPU from the process's start to its "
        "end. The floor is one plain loop over the same bytes: read, decode, encode, hash, send.",
        "at most 6 µs of CPU an alert and 1.4 × the floor of the same run; three times Fluent Bit's best alerts per "
        "CPU-second, side by side; at most 120 MB.",
        _catch_up_verdict, _rows, _catch_up_plots,
    ),
    Question(
        "latency", "How soon is an alert there?",
        "From the moment of its writing, which is the alert's own time, until the put that carries it was taken. "
        "Of fewer than a hundred alerts the p99 is the slowest of them, or nearly.",
        "alone p99 under 50 ms; 50 a second p50 under 150 ms with at most 5 puts a second; 2,000 a second p99 under "
        "400 ms; a Critical within 1 s at p99 while a million Notices wait, 50,000 more come every second, and "
        "CloudWatch takes 10 puts a second.",
        _latency_verdict, _rows, _latency_plots,
    ),
    Question(
        "memory", "How much memory?",
        "Resident, at rest, with ever more to catch up on while CloudWatch is away, and over a day of rotations.",
        "at rest at most 70 MB (105 with enrichment); flat within 5 % against backlog and time.",
        _own_verdict, _rows, _memory_plots,
    ),
    Question(
        "scale", "Does an alert's cost stay what it is?",
        "CPU of a running agent against the number of alerts, of files, and of pods beside Falco's; then at rest, "
        "and with an alert a second in each of the files.",
        "flat within 10 %; at rest under 0.5 % of a core with 500 files.",
        _own_verdict, _rows, _scale_plots,
    ),
    Question(
        "start", "How soon after its start?",
        "From the start of the process to its first put, with an alert waiting.",
        "under 0.6 s.",
        _own_verdict, _rows, _start_plots,
    ),
    Question(
        "fleet", "How many nodes share an account's quota?",
        "On paper, and by simulation with the agent's own pace, slots, backoff and batch limits on a clock that jumps.",
        "a table: how many nodes fit with default settings, what happens beyond, how long until a storm is drained.",
        _no_goal, _fleet_tables, _fleet_plots,
    ),
)  # fmt: skip
