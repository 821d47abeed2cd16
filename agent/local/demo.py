"""The demo: the whole path of an alert on one machine, without AWS and without a cluster.

A player writes captured Falco alerts into log files, rotated as kubelet rotates them. The agent runs as a separate
process, configured by environment variables as a user would configure it, and ships to an embedded CloudWatch Logs.
At the end every alert that was written is compared, byte for byte, with what the embedded CloudWatch received.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

from agent.errors import DemoFailed
from agent.local.emulator import EmbeddedCloudWatch
from agent.local.player import Player
from agent.local.progress import LATEST_ALERTS, DemoProgress, LatestAlert, Outcome, Rate
from agent.local.proof import Comparison
from agent.local.view import DemoView

GROUP: Final = "/falco/demo"
TICK_SECONDS: Final = 0.1
STATUS_SECONDS: Final = 0.5
"""Time between two requests for the agent's status page, which costs the agent some milliseconds."""
STALLED_SECONDS: Final = 60.0
"""The demo fails when no further alert arrives for this long."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """The options of `falcowatch demo`."""

    alerts: int
    rate: float
    """Alerts written a second."""
    seconds: float | None = None
    """Write for this many seconds at `rate`. None: write `alerts` alerts."""
    keep: Path | None = None
    """Directory that keeps all files of the demo. None: a temporary directory, removed at the end."""

    @property
    def target(self) -> int:
        return self.alerts if self.seconds is None else round(self.rate * self.seconds)


async def demonstrate(options: DemoOptions) -> None:
    """Run the demo. Raises DemoFailed when an alert was lost or altered, or when the agent failed."""
    view = DemoView()
    with _directory(options.keep) as place, as_file(files("agent.local") / "data" / "pods.json") as pods:
        async with EmbeddedCloudWatch(data_dir=place / "cloudwatch") as cloudwatch:
            player = Player(place / "pods")
            run = DemoRun(options, cloudwatch, player)
            async with _agent(place, cloudwatch.url, pods) as (process, url):
                for line in introduction(url, cloudwatch.url):
                    view.announce(line)
                with view:
                    await run.play(view, url)
                process.send_signal(signal.SIGTERM)
                code = await process.wait()
            outcome = run.prove(place)
        view.conclude(outcome)
        if code:
            raise DemoFailed(f"the agent exited with code {code}; run the demo with --keep DIR and read DIR/agent.log")
        if not outcome.holds:
            raise DemoFailed(
                "not every alert arrived as it was written; run the demo with --keep DIR to keep all files"
            )


def introduction(agent_url: str, cloudwatch_url: str) -> list[str]:
    """The lines before the live view. Each fits into 80 columns, so that a terminal does not break a URL."""
    return [
        f"status page          {agent_url}/",
        f"metrics              {agent_url}/metrics",
        f"embedded CloudWatch  {cloudwatch_url}",
        "The alerts were captured from a real Falco. One is its notice of missed system",
        "calls, so the status page shows that: it is captured, too, and nothing is lost.",
    ]


class DemoRun:
    """One run: writes alerts, follows what arrives, and compares both."""

    def __init__(self, options: DemoOptions, cloudwatch: EmbeddedCloudWatch, player: Player) -> None:
        self._options = options
        self._player = player
        self._follower = cloudwatch.follow(GROUP)
        self._comparison = Comparison(player.digests)
        self._latest_alerts: deque[LatestAlert] = deque(maxlen=LATEST_ALERTS)
        self._rates = {"written": Rate(), "arrived": Rate(), "puts": Rate()}
        self._status: Mapping[str, Any] = {}
        self._elapsed_seconds = 0.0
        self._next_status_at = 0.0

    async def play(self, view: DemoView, agent_url: str) -> None:
        """Write alerts at the chosen rate and show what arrives, until all of them have arrived."""
        began = progressed = time.monotonic()
        seen = 0
        async with aiohttp.ClientSession() as session:
            while True:
                now = time.monotonic()
                due = min(self._options.target, int((now - began + TICK_SECONDS) * self._options.rate))
                if missing := due - len(self._player.digests):
                    await asyncio.to_thread(self._player.play, missing)
                self._receive()
                self._elapsed_seconds = time.monotonic() - began
                done = self._comparison.arrived == self._options.target
                await self._fetch_status(session, agent_url, at_once=done)
                view.show(self._progress())
                if done:
                    return
                if self._comparison.arrived > seen:
                    seen, progressed = self._comparison.arrived, now
                elif now - progressed > STALLED_SECONDS:
                    raise DemoFailed(
                        f"no further alert arrived for {STALLED_SECONDS:.0f} s; "
                        "run the demo with --keep DIR and read DIR/agent.log"
                    )
                await asyncio.sleep(max(0.0, TICK_SECONDS - (time.monotonic() - now)))

    def prove(self, place: Path) -> Outcome:
        """Compare all received events with all written alerts. Call it after the agent has exited."""
        self._receive()
        self._player.close()
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        comparison = self._comparison
        return Outcome(
            written=len(self._player.digests),
            arrived=comparison.arrived,
            duplicates=comparison.duplicates,
            altered=comparison.altered,
            seconds=self._elapsed_seconds,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            peak_bytes=usage.ru_maxrss * 1024,
            next_steps=_next_steps(place if self._options.keep is not None else None),
        )

    def _receive(self) -> None:
        messages = [event.message for event in self._follower.new_events()]
        self._comparison.add(messages)
        latest = [alert for message in messages[-LATEST_ALERTS:] if (alert := _latest_alert(message))]
        self._latest_alerts.extend(latest)

    async def _fetch_status(self, session: aiohttp.ClientSession, agent_url: str, *, at_once: bool) -> None:
        if self._elapsed_seconds < self._next_status_at and not at_once:
            return
        self._next_status_at = self._elapsed_seconds + STATUS_SECONDS
        # The status is only displayed. The proof compares files with events and does not need it.
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.get(f"{agent_url}/status", timeout=aiohttp.ClientTimeout(1)) as response:
                self._status = await response.json()

    def _progress(self) -> DemoProgress:
        now, comparison, status = self._elapsed_seconds, self._comparison, self._status
        written, puts = len(self._player.digests), sum(status.get("puts", {}).values())
        return DemoProgress(
            target=self._options.target,
            written=written,
            arrived=comparison.arrived,
            duplicates=comparison.duplicates,
            elapsed_seconds=now,
            rate_written=self._rates["written"].update(written, now),
            rate_arrived=self._rates["arrived"].update(comparison.arrived, now),
            puts=puts,
            put_rate=self._rates["puts"].update(puts, now),
            backpressure=bool(status.get("backpressure")),
            latest_alerts=tuple(self._latest_alerts),
        )


def _latest_alert(message: bytes) -> LatestAlert | None:
    """The fields of an alert that the view shows. None for an event of the agent itself."""
    alert = orjson.loads(message)
    if alert.get("source") == "falcowatch" or "rule" not in alert:
        return None
    pod = alert.get("kubernetes", {})
    name = f"{pod['namespace_name']}/{pod['pod_name']}" if "pod_name" in pod and "namespace_name" in pod else ""
    rule = f"{alert['rule']} (captured)" if alert.get("source") == "internal" else alert["rule"]
    return LatestAlert(alert["time"][11:19], alert["priority"], rule, name)


def _next_steps(kept: Path | None) -> list[tuple[str, str]]:
    if kept is None:
        return [
            ("falcowatch demo --seconds 300", "runs 5 minutes: time to open the status page and /metrics"),
            (
                "falcowatch demo --keep DIR",
                "keeps the log files, the agent's log and state, and all received events in DIR",
            ),
            ("docs/walk.md", "how to run the agent on Amazon EKS, step by step"),
        ]
    return [
        (f"falcowatch cloudwatch --data {kept}/cloudwatch", "serves the received events"),
        (
            f"aws --endpoint-url http://127.0.0.1:4586 logs filter-log-events --log-group-name {GROUP} --limit 5",
            "reads 5 of them",
        ),
        (f"{kept}/agent.log", "the agent's own log"),
    ]


@asynccontextmanager
async def _agent(place: Path, endpoint: str, pods: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run `falcowatch run` as a separate process. Yields the process and the URL of its HTTP server."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FALCOWATCH_", "AWS_"))}
    environment |= {
        "NO_PROXY": "127.0.0.1",  # requests to loopback must not go through a proxy that is configured for AWS
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo",
        "AWS_REGION": "us-east-1",
        "FALCOWATCH_NODE_NAME": "demo",
        "FALCOWATCH_CLUSTER_NAME": "demo",
        "FALCOWATCH_STATE_DIR": str(place / "state"),
        "FALCOWATCH_TAIL__ROOT": str(place / "pods"),
        "FALCOWATCH_CLOUDWATCH__ENDPOINT_URL": endpoint,
        "FALCOWATCH_ENRICH__FILE": str(pods),
        "FALCOWATCH_HTTP__HOST": "127.0.0.1",
        "FALCOWATCH_HTTP__PORT": "0",
    }
    with (place / "agent.log").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent.cli", "run", env=environment, stderr=output
        )
    try:
        yield process, f"http://127.0.0.1:{await _port(process, place / 'agent.log')}"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _port(process: asyncio.subprocess.Process, log_path: Path) -> int:
    """The port from the agent's `listening` log line."""
    async with asyncio.timeout(STALLED_SECONDS):
        while process.returncode is None:
            for line in log_path.read_bytes().splitlines():
                with contextlib.suppress(json.JSONDecodeError):
                    entry = orjson.loads(line)
                    if entry.get("event") == "listening":
                        return int(entry["port"])
            await asyncio.sleep(0.02)
    raise DemoFailed(f"the agent did not start:\n{log_path.read_text(errors='replace').strip()}")


@contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        if keep.exists() and any(keep.iterdir()):
            raise DemoFailed(f"--keep: the directory {keep} is not empty; name a new one")
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    place = Path(tempfile.mkdtemp(prefix="falcowatch-demo-"))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
