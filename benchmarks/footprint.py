"""Where the memory and the CPU time of the start go: by import, at the first put, and at rest.

The imports run in an empty process, in the order of the agent. Then the agent runs with pod metadata from an API server
that lists 110 pods. Memory without a file is what the process itself has written; the rest are pages of libraries,
which the kernel can drop and read again at any time.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import orjson

from benchmarks.alerts import log_path, write_log
from benchmarks.api_server import api_server
from benchmarks.image import as_in_the_image
from benchmarks.processes import MIB, agent, sink
from benchmarks.results import arguments, publish
from benchmarks.start import enrichment

STAGES = {
    "asyncio, ssl, logging, argparse": ("argparse", "asyncio", "ssl", "importlib.metadata", "agent.cli"),
    "orjson, msgspec, PyYAML, isal": ("orjson", "msgspec", "yaml", "isal.isal_zlib"),
    "prometheus-client": ("prometheus_client",),
    "aiohttp, client and server": ("aiohttp", "aiohttp.web"),
    "aiobotocore, botocore": ("agent.cloudwatch.sdk_import",),
    "pydantic": ("pydantic.fields", "pydantic.types"),
    "the settings model": ("agent.settings",),
    "the agent's other modules": ("agent.app", "agent.enrich.kube_api"),
}
AT_REST_SECONDS = 10.0
"""More than agent.app.START_SECONDS."""

PROGRAM = """
import gc, importlib, json, sys, time

gc.disable()

def row(stage):
    fields = dict(line.split()[:2] for line in open("/proc/self/smaps_rollup") if line.endswith("kB\\n"))
    return [stage, int(fields["Rss:"]) / 1024, int(fields["Anonymous:"]) / 1024, time.process_time()]

rows = [row("Python itself")]
for stage, modules in json.loads(sys.argv[1]).items():
    if "aiohttp" in modules:
        from agent.aiohttp_import import import_aiohttp
        import_aiohttp()
    for module in modules:
        importlib.import_module(module)
    rows.append(row(stage))
print(json.dumps(rows))
"""


def main() -> None:
    chosen = arguments("Memory and CPU time by stage of the start").parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        as_in_the_image(Path(directory), quick=chosen.quick),
        api_server(Path(directory)),
    ):
        place = Path(directory)
        write_log(log_path(place / "pods"), 1)
        imports = _imports()
        if not chosen.quick:
            _agent(place / "first", 0.0)  # compiles the bytecode
        running = _agent(place / "second", 0.1 if chosen.quick else AT_REST_SECONDS)
    rows = [_row(*after, before) for before, after in zip([None, *imports], imports, strict=False)]
    rows += [_row(*stage, None) for stage in running]
    publish("footprint", "memory and CPU time by stage", rows, chosen)


def _imports() -> list[tuple[str, float, float, float]]:
    command = [sys.executable, "-c", PROGRAM, orjson.dumps(STAGES).decode()]
    done = subprocess.run(command, capture_output=True, check=True)
    return [tuple(row) for row in orjson.loads(done.stdout)]


def _agent(place: Path, seconds: float) -> list[tuple[str, float, float, float]]:
    write_log(log_path(place / "pods"), 1)
    with sink(place, tls=True) as target, agent(place, target, **enrichment("api", place)) as subject:
        target.wait_for(1, subject)
        rows = []
        for stage, pause in (("the first put", 0.0), ("at rest", seconds)):
            time.sleep(pause)
            rows.append((stage, subject.resident_bytes / MIB, subject.anonymous_bytes / MIB, subject.cpu_seconds))
        subject.stop()
    return rows


def _row(
    stage: str, resident_mb: float, anonymous_mb: float, cpu_seconds: float, before: tuple[Any, ...] | None
) -> dict[str, Any]:
    return {
        "stage": stage,
        "added_mb": "" if before is None else resident_mb - before[1],
        "resident_mb": resident_mb,
        "without_a_file_mb": anonymous_mb,
        "cpu_ms": cpu_seconds * 1000,
    }


if __name__ == "__main__":
    main()
