"""The reports of the benchmarks: for each its goal, its verdict, its tables and its plots.

Each report is made from the JSON that its program wrote to results/. The programs measure; a goal that a program does
not judge itself is judged here, from its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.headings import heading
from benchmarks.known_peers import KNOWN_PEERS
from benchmarks.svg import Axis, Bar, Line, bars, lines

Found = Mapping[str, Any]
Rows = Sequence[Mapping[str, Any]]

MAX_US: Final = 6.0
MAX_OF_THE_BASELINE: Final = 1.4
MIN_TIMES_A_PEER: Final = 3.0
MAX_PEAK_MB: Final = 120.0
MAX_AT_REST_MB: Final = 40.0
MAX_AUDIT_SECONDS: Final = 60.0
MAX_AUDIT_MIB: Final = 200.0
VARIANTS: Final[Mapping[str, str]] = {
    "falcowatch-plain": "cloudwatch.compression=none",
    "falcowatch-gzip": "cloudwatch.compression=gzip",
    "falcowatch-no-seals": "seal.enabled=false",
}
"""The rows of the agent with a setting that is not the default. Until 2026-11 the default was no compression."""

PEER_NOTES: Final[Mapping[str, str]] = {known.name: known.note for known in KNOWN_PEERS}
LATENCY_GOALS: Final[Sequence[Mapping[str, float]]] = (
    {"p99_ms": 50.0},
    {"p50_ms": 150.0, "puts_a_second": 5.0},
    {"p99_ms": 400.0},
    {"p99_ms": 1000.0},
)
"""Goals of the cases in their order: single alerts, 50 a second, 2,000 a second, Criticals in the flood."""
MIN_WAITING: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Judgement:
    """One statement of a verdict. `met` is None where there is no goal."""

    words: str
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The report of one program. `name` is the name of the program and of its result file."""

    name: str
    title: str
    how: str
    goal: str
    verdict: Callable[[Found], Iterable[Judgement]]
    tables: Callable[[Found], Iterable[tuple[str, Rows]]]
    plots: Callable[[Found], Mapping[str, str]]
    page: str = "benchmarks.md"


def _judged(label: str, found: float, limit: float, unit: str, *, at_least: bool = False) -> Judgement:
    met = found >= limit if at_least else found <= limit
    bound = "at least" if at_least else "at most"
    digits = 3 if f"{found:.3g}" != f"{limit:g}" else 5  # 2.997 is not "3, at least 3, missed"
    return Judgement(f"{label}: {found:.{digits}g} {unit} ({bound} {limit:g})", met)


def _own_verdict(found: Found) -> Iterator[Judgement]:
    """The verdict of a program whose rows state whether they met the goal."""
    for row in found["rows"]:
        verdict = row.get("met") or row.get("goal")
        if verdict in ("met", "missed"):
            yield Judgement(_name(row), verdict == "met")


def _name(row: Mapping[str, Any]) -> str:
    """A row's name: its columns before the first fraction."""
    if "when" in row:
        return str(row["when"])
    if "scaled" in row:
        return f"{row['number']:,} {row['scaled'] if row['number'] != 1 else row['scaled'].removesuffix('s')}"
    parts: list[str] = []
    for column, value in row.items():
        if isinstance(value, float):
            break
        parts.append(f"{value:,}" if isinstance(value, int) else f"{heading(column)} {value}")
    return ", ".join(parts)


def _rows(found: Found) -> Iterator[tuple[str, Rows]]:
    yield found["title"][0].upper() + found["title"][1:], found["rows"]


def _catch_up_verdict(found: Found) -> Iterator[Judgement]:
    ours = next(row for row in found["rows"] if row["shipper"] == "falcowatch" and row["tls"] == "on")
    yield _judged("CPU time for each alert with TLS", ours["us_per_alert"], MAX_US, "µs")
    yield _judged("compared with the baseline", ours["us_per_alert"] / ours["baseline_us"], MAX_OF_THE_BASELINE, "×")
    yield _judged("peak memory", ours["peak_mb"], MAX_PEAK_MB, "MB")
    plain = next(row for row in found["rows"] if row["shipper"] == "falcowatch" and row["tls"] == "off")
    for row in found["rows"]:
        if not row["shipper"].startswith("falcowatch"):
            times = row["us_per_alert"] / (ours if row["tls"] == "on" else plain)["us_per_alert"]
            without = "" if row["tls"] == "on" else ", both without TLS"
            label = f"alerts per CPU second compared with {row['shipper']} in the same run{without}"
            if row["shipper"].startswith("fluent-bit"):
                yield _judged(label, times, MIN_TIMES_A_PEER, "×", at_least=True)
            else:
                yield Judgement(f"{label[0].upper()}{label[1:]}: {times:.3g} ×.")
            if row["shipper"] in PEER_NOTES:
                yield Judgement(f"{PEER_NOTES[row['shipper']]} (benchmarks/peers).")
    for row in found["rows"]:
        if variant := VARIANTS.get(row["shipper"]):
            wire = row["wire_bytes"] / ours["wire_bytes"]
            yield Judgement(
                f"With {variant}: {row['us_per_alert']:.3g} µs, {row['us_per_alert'] / ours['us_per_alert']:.3g} × the "
                f"CPU time and {wire:.3g} × the bytes on the wire of the row falcowatch."
            )
    if found["absent_peers"] != "none":
        yield Judgement(f"Not part of this run, so not compared: {found['absent_peers']}.")


def _catch_up_tables(found: Found) -> Iterator[tuple[str, Rows]]:
    """Without the columns that the plot shows, or that say nothing about the log shipper: the table is wide."""
    for caption, rows in _rows(found):
        yield (
            caption,
            [{key: row[key] for key in row if key not in ("baseline_us", "sink_cpu_seconds")} for row in rows],
        )


def _catch_up_plots(found: Found) -> dict[str, str]:
    drawn = []
    for tls in ("on", "off"):
        rows = [row for row in found["rows"] if row["tls"] == tls]
        drawn += [Bar(f"{row['shipper']}, TLS {tls}", row["us_per_alert"], at) for at, row in enumerate(rows)]
        drawn += [Bar(f"baseline, TLS {tls}", rows[0]["baseline_us"], 5)] if rows else []
    return {"cost.svg": bars("CPU time for each alert when catching up", "µs", drawn)}


def _losses_verdict(found: Found) -> Iterator[Judgement]:
    for row in found["rows"]:
        for part, lost in (("kills", row["lost_by_kills"]), ("the outage", row["lost_by_outage"])):
            words = f"{row['shipper']} lost {lost:,} alerts by {part}"
            yield Judgement(words, lost == 0) if row["shipper"] == "falcowatch" else Judgement(f"{words}.")
    if found["absent_peers"] != "none":
        yield Judgement(f"Not part of this run, so not measured: {found['absent_peers']}.")


def _no_plots(_: Found) -> Mapping[str, str]:
    return {}


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
    # With fewer waiting Notices the case of the Criticals was easier than the goal requires.
    yield Judgement(
        f"Notice alerts waiting at the end of the flood: {waiting:,} (at least {MIN_WAITING:,})", waiting >= MIN_WAITING
    )


def _latency_plots(found: Found) -> dict[str, str]:
    """Curves of the distributions where the program stored them; otherwise bars of its table."""
    title = "Latency from write to receipt"
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
    across, up = Axis("percent of alerts with lower latency", least=0.0), Axis("milliseconds", logarithmic=True)
    return {"latency.svg": lines(title, across, up, [line for line in curves if line.points])}


def _case(row: Mapping[str, Any]) -> str:
    """The first words of a case, because a bar has little room."""
    return str(row["case"]).partition(" in ")[0].partition(" after ")[0]


def _memory_plots(found: Found) -> dict[str, str]:
    up = Axis("resident MB", least=0.0)
    backlogs, day = found["backlogs"], found["long_time"]
    drawn = [
        Line(name, [(row["backlog_mb"], row[column]) for row in backlogs])
        for name, column in (
            ("CloudWatch unreachable", "away_mb"), ("catching up", "draining_mb"), ("maximum", "draining_most_mb"),
        )
    ]  # fmt: skip
    waiting = lines("Memory by size of the backlog", Axis("MB of backlog", logarithmic=True), up, drawn)
    drawn = [
        Line(name, [(row["rotations"], row[column]) for row in day])
        for name, column in (("median", "resident_mb"), ("maximum", "most_mb"))
    ]
    lasting = lines("Memory over time", Axis("rotations of the log (144: one day)", least=0.0), up, drawn)
    return {"memory-backlog.svg": waiting, "memory-time.svg": lasting}


def _scale_plots(found: Found) -> dict[str, str]:
    across, up = Axis("number of alerts, files or pods", logarithmic=True), Axis("µs of CPU time per alert", least=0.0)
    drawn = [
        Line(name, [(row["number"], row["us_per_alert"]) for row in found[name]])
        for name in ("alerts", "files", "pods")
    ]
    return {"scale.svg": lines("CPU time per alert by number of alerts, files and pods", across, up, drawn)}


def _start_plots(found: Found) -> dict[str, str]:
    drawn = [Bar(f"enrichment {row['enrichment']}, TLS {row['tls']}", row["seconds"]) for row in found["rows"]]
    return {"start.svg": bars("Time from process start to first put", "s", drawn)}


def _fleet_tables(found: Found) -> Iterator[tuple[str, Rows]]:
    yield from _rows(found)
    yield "Near and above that number of nodes; times in seconds", found["beyond"]
    yield 'A flood of alerts on every node; times in seconds, "delivered" after the end of the flood', found["storms"]


def _fleet_plots(found: Found) -> dict[str, str]:
    quotas = dict.fromkeys(row["quota"] for row in found["storms"])
    drained = [
        (quota, [(row["nodes"], row["drained_last"]) for row in found["storms"] if row["quota"] == quota])
        for quota in quotas
    ]
    drawn = [Line(f"{quota:,} puts a second", points) for quota, points in drained]
    across, up = Axis("nodes", logarithmic=True), Axis("seconds until delivered on the last node", logarithmic=True)
    return {"fleet.svg": lines("A flood of alerts on every node, by account quota", across, up, drawn)}


def _footprint_verdict(found: Found) -> Iterator[Judgement]:
    rest, put = (next(row for row in found["rows"] if row["stage"] == stage) for stage in ("at rest", "the first put"))
    yield _judged("resident at rest", rest["resident_mb"], MAX_AT_REST_MB, "MB")
    own = f"{rest['without_a_file_mb']:.3g} MB of it are the process's own; the rest are pages of libraries in "
    own += "the page cache."
    returned = put["resident_mb"] - rest["resident_mb"]
    yield Judgement(f"{own} After the start the agent returns {returned:.3g} MB." if returned > 0 else own)


def _audit_verdict(found: Found) -> Iterator[Judgement]:
    [row] = found["rows"]
    yield _judged("duration", row["seconds"], MAX_AUDIT_SECONDS, "s")
    yield _judged("peak memory", row["peak MiB"], MAX_AUDIT_MIB, "MiB")


def _no_goal(_: Found) -> Iterator[Judgement]:
    yield Judgement("There is no numeric goal; the tables are the result.")


REPORTS: Final = (
    Report(
        "catch_up", "How much CPU time does an alert cost?",
        "The agent ships a full log of 1 KB lines, with decoding, pod metadata and PutLogEvents. All CPU time from the "
        "start to the end of the process is counted. The baseline is a minimal loop over the same bytes: read, decode, "
        "encode, hash, send, without any guarantee. It shows how much of the cost is the work itself.",
        "at most 6 µs of CPU time for each alert and 1.4 × the baseline of the same run; three times Fluent Bit's best "
        "alerts per CPU second in the same run; at most 120 MB.",
        _catch_up_verdict, _catch_up_tables, _catch_up_plots,
    ),
    Report(
        "losses", "What do a kill -9 and an outage lose?",
        "Alerts arrive steadily while the log shipper is killed with signal 9 at random moments and started again. "
        "Then the sink answers 503 while Falco writes twice as many bytes as kubelet keeps, with kubelet's rotation. "
        "At the end the program looks in the sink for every alert that was written. A shipper that ends by itself is "
        "started again.",
        "the agent loses no alert.",
        _losses_verdict, _rows, _no_plots,
    ),
    Report(
        "latency", "How soon does an alert arrive?",
        "The time from the writing of the alert, which is the alert's own time, until the sink has accepted the put "
        "that contains it. With fewer than a hundred alerts, p99 is the slowest of them.",
        "single alerts p99 under 50 ms; 50 a second p50 under 150 ms with at most 5 puts a second; 2,000 a second p99 "
        "under 400 ms; a Critical alert within 1 s at p99 while a million Notice alerts wait, 50,000 more arrive every "
        "second, and CloudWatch accepts 10 puts a second.",
        _latency_verdict, _rows, _latency_plots,
    ),
    Report(
        "memory", "How much memory does the agent use?",
        "Resident memory: idle, with growing backlogs while CloudWatch is unreachable, and over a day of rotations.",
        "idle at most 70 MB (105 with enrichment); constant within 5 % for any backlog and over time.",
        _own_verdict, _rows, _memory_plots,
    ),
    Report(
        "footprint", "Where the memory and the start go",
        "The imports run in an empty process, in the order of the agent; then the agent runs, with pod metadata of 110 "
        "pods from an API server. Memory without a file is what the process has written itself; the rest are pages of "
        "libraries, which the kernel can drop and read again. CPU time counts from the start of the process.",
        "at most 40 MB resident at rest.",
        _footprint_verdict, _rows, _no_plots, "benchmarks-method.md",
    ),
    Report(
        "scale", "Is the cost of an alert constant?",
        "CPU time of a running agent by number of alerts, of files, and of unrelated pods. Then the agent is idle, "
        "while one alert a second is written to each file, or one unrelated pod a second is created or removed.",
        "constant within 10 %; idle under 0.5 % of a core with 500 files.",
        _own_verdict, _rows, _scale_plots,
    ),
    Report(
        "start", "How fast does the agent start?",
        "The time from the start of the process to its first put, with an alert in the log.",
        "under 0.6 s.",
        _own_verdict, _rows, _start_plots,
    ),
    Report(
        "audit", "How long does an audit take?",
        "`falcowatch audit` reads a million events of four nodes from gzip files, as an export writes them, and proves "
        "each of them.",
        "at most 60 s and 200 MiB.",
        _audit_verdict, _rows, _no_plots,
    ),
    Report(
        "fleet", "How many nodes can share an account's quota?",
        "Calculated, and simulated with the agent's own pace, slots, backoff and batch limits on a simulated clock.",
        "a table: how many nodes fit with default settings, what happens above that, and how long the delivery of a "
        "flood takes.",
        _no_goal, _fleet_tables, _fleet_plots, "benchmarks-fleet.md",
    ),
)  # fmt: skip
