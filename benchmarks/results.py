"""The output of a benchmark: a table for a person, and JSON for docs/benchmarks.md.

The JSON below `results/` comes from the last complete run. Quick runs only show that a program works, and never write
there. A run without a peer that an older run has measured keeps the older run beside it, with its date in the name.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import sys
from collections.abc import Mapping, Sequence, Set
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"

Row = Mapping[str, Any]


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser with the options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--quick", action="store_true", help="run a few seconds to test the program; the numbers mean nothing"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="directory for the JSON")
    parser.set_defaults(load=os.getloadavg()[0])
    return parser


def keep_peers(name: str, measured: Set[str], chosen: argparse.Namespace) -> None:
    """Keep the stored result under its date when it has a shipper that the new run has not measured.

    Of the results that were kept before, those that have no such shipper are deleted.
    """
    if chosen.quick:
        return
    for path in sorted(chosen.results.glob(f"{name}*.json")):
        found = orjson.loads(path.read_bytes())
        peers = {row["shipper"] for row in found["rows"] if not row["shipper"].startswith("falcowatch")}
        if not peers - measured:
            path.unlink()
        elif path.stem == name:
            path.rename(_free(chosen.results, f"{name}-{found['setting']['date']}"))


def _free(directory: Path, stem: str) -> Path:
    """The first path with this stem, or with a number after it, that does not exist."""
    names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    return next(path for name in names if not (path := directory / f"{name}.json").exists())


def publish(name: str, title: str, rows: Sequence[Row], chosen: argparse.Namespace, **more: object) -> None:
    """Print the rows, and write them with the machine's data to `<results>/<name>.json`."""
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column.replace("_", " "), justify="left" if isinstance(rows[0][column], str) else "right")
    for row in rows:
        table.add_row(*(shown(value) for value in row.values()))
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table)
    for label, value in more.items():
        if not isinstance(value, list | dict):
            console.print(f"{label.replace('_', ' ')}: {shown(value)}", highlight=False)
    if chosen.quick and chosen.results == RESULTS:
        console.print("quick run: no results written")
        return
    chosen.results.mkdir(parents=True, exist_ok=True)
    found = {"title": title, "quick": chosen.quick, "setting": setting(chosen.load), "rows": list(rows), **more}
    (chosen.results / f"{name}.json").write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")


def setting(load: float) -> Mapping[str, object]:
    """The machine, the versions and the date of the measurement. `load` is the load average before it."""
    packages = ("aiobotocore", "aiohttp", "msgspec", "orjson")
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": round(load, 1),
    } | {name: version(name) for name in packages}


def was_busy(setting: Mapping[str, Any]) -> str:
    """A sentence for the reader when the machine did other work during the measurement; otherwise nothing."""
    load = setting.get("load", 0.0)
    if load <= setting["cores"] / 2:
        return ""
    return (
        f"**The machine was busy with other work (load average {load:g} on {setting['cores']} cores), so times are "
        "longer than on an idle one. Compare ratios.**"
    )


def shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.3g}" if abs(value) < 10 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def middle(rows: Sequence[Row], column: str) -> Any:
    """The median of a column."""
    return median(row[column] for row in rows)
