"""The whole path on this machine: captured alerts, kubelet-style files, the real agent, an embedded CloudWatch.

Ends with the proof: every alert written is compared, byte for byte, with what arrived. The agent runs as
a process of its own, configured by its environment as a user would configure it.
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
from agent.local.proof import Comparison
from agent.local.view import MOST_ALERTS, DemoProgress, DemoView, LastAlert, Outcome, Rate

GROUP: Final = "/falco/demo"
TICK_SECONDS: Final = 0.1
ASK_SECONDS: Final = 0.5
"""Between two looks at the agent's status page: it costs the agent some milliseconds."""
STALLED_SECONDS: Final = 60.0
"""So long without one more arrival: something is broken, and waiting will not mend it."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What to demonstrate."""

    alerts: int
    rate: float
    """Alerts a second."""
    seconds: float | None = None
    """Go on for so long, instead of up to `alerts`."""
    keep: Path | None = None
    """Leave everything there."""

    @property
    def target(self) -> int:
        return self.alerts if self.seconds is None else round(self.rate * self.seconds)


async def demonstrate(wish: Wish) -> None:
    """Raises DemoFailed when an alert was lost or altered, or the agent did not run as it should."""
    view = DemoView()
    with _workplace(wish.keep) as place, as_file(files("agent.local") / "data" / "pods.json") as pods:
        async with EmbeddedCloudWatch(data_dir=place / "cloudwatch") as cloudwatch:
            player = Player(place / "pods")
            stage = Stage(wish, cloudwatch, player)
            async with _agent(place, cloudwatch.url, pods) as (process, url):
                view.announce(f"status page {url}/   metrics {url}/metrics   CloudWatch {cloudwatch.url}")
                with view:
                    await stage.play(view, url)
                process.send_signal(signal.SIGTERM)
                code = await process.wait()
            outcome = stage.prove(place)
        view.conclude(outcome)
        if code:
            raise DemoFailed(f"the agent left with exit code {code}; its log is agent.log below --keep DIR")
        if not outcome.holds:
            raise DemoFailed("not every alert arrived as it was written; --keep DIR keeps all that happened")


class Stage:
    """One demonstration on its way."""

    def __init__(self, wish: Wish, cloudwatch: EmbeddedCloudWatch, player: Player) -> None:
        self._wish = wish
        self._player = player
        self._follower = cloudwatch.follow(GROUP)
        self._comparison = Comparison(player.digests)
        self._last_alerts: deque[LastAlert] = deque(maxlen=MOST_ALERTS)
        self._rates = {"written": Rate(), "arrived": Rate(), "puts": Rate()}
        self._status: Mapping[str, Any] = {}
        self._elapsed_seconds = 0.0
        self._next_ask_at = 0.0

    async def play(self, view: DemoView, agent_url: str) -> None:
        """Writes at the wished rate and watches what arrives, until all of it has."""
        began = progressed = time.monotonic()
        seen = 0
        async with aiohttp.ClientSession() as session:
            while True:
                now = time.monotonic()
                due = min(self._wish.target, int((now - began + TICK_SECONDS) * self._wish.rate))
                if missing := due - len(self._player.digests):
                    await asyncio.to_thread(self._player.play, missing)
                self._receive()
                await self._ask(session, agent_url)
                self._elapsed_seconds = time.monotonic() - began
                view.show(self._progress())
                if self._comparison.arrived == self._wish.target:
                    return
                if self._comparison.arrived > seen:
                    seen, progressed = self._comparison.arrived, now
                elif now - progressed > STALLED_SECONDS:
                    raise DemoFailed(
                        f"nothing has arrived for {STALLED_SECONDS:.0f} s; --keep DIR keeps the agent's log"
                    )
                await asyncio.sleep(max(0.0, TICK_SECONDS - (time.monotonic() - now)))

    def prove(self, place: Path) -> Outcome:
        """After the agent has left: everything that came in, compared with everything that was written."""
        self._receive()
        self._player.close()
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = self._comparison
        return Outcome(
            written=len(self._player.digests),
            arrived=found.arrived,
            duplicates=found.duplicates,
            altered=found.altered,
            seconds=self._elapsed_seconds,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            peak_bytes=usage.ru_maxrss * 1024,
            next_steps=_next_steps(place if self._wish.keep is not None else None),
        )

    def _receive(self) -> None:
        messages = [event.message for event in self._follower.new_events()]
        self._comparison.add(messages)
        self._last_alerts.extend(alert for message in messages[-MOST_ALERTS:] if (alert := _last_alert(message)))

    async def _ask(self, session: aiohttp.ClientSession, agent_url: str) -> None:
        if self._elapsed_seconds < self._next_ask_at:
            return
        self._next_ask_at = self._elapsed_seconds + ASK_SECONDS
        # The view can do without: what is proved is what arrived.
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.get(f"{agent_url}/status", timeout=aiohttp.ClientTimeout(1)) as answer:
                self._status = await answer.json()

    def _progress(self) -> DemoProgress:
        now, found, status = self._elapsed_seconds, self._comparison, self._status
        written, puts = len(self._player.digests), sum(status.get("puts", {}).values())
        return DemoProgress(
            target=self._wish.target,
            written=written,
            arrived=found.arrived,
            duplicates=found.duplicates,
            elapsed_seconds=now,
            rate_written=self._rates["written"].update(written, now),
            rate_arrived=self._rates["arrived"].update(found.arrived, now),
            lag_bytes=status.get("lag_bytes", 0),
            puts=puts,
            put_rate=self._rates["puts"].update(puts, now),
            backpressure=bool(status.get("backpressure")),
            last_alerts=tuple(self._last_alerts),
        )


def _last_alert(message: bytes) -> LastAlert | None:
    """What the view shows of an event; None for one of the agent's own."""
    alert = orjson.loads(message)
    if alert.get("source") == "falcowatch" or "rule" not in alert:
        return None
    pod = alert.get("kubernetes", {})
    name = f"{pod['namespace_name']}/{pod['pod_name']}" if "pod_name" in pod and "namespace_name" in pod else ""
    return LastAlert(alert["time"][11:19], alert["priority"], alert["rule"], name)


def _next_steps(kept: Path | None) -> list[tuple[str, str]]:
    if kept is None:
        return [
            ("falcowatch demo --seconds 300", "long enough to open its status page and /metrics"),
            ("falcowatch demo --keep DIR", "leaves the log files, the agent's log and state, and every event there"),
            ("docs/walk.md", "the same on EKS, from an empty account"),
        ]
    return [
        (f"falcowatch cloudwatch --data {kept}/cloudwatch", "serves what arrived"),
        (
            f"aws --endpoint-url http://127.0.0.1:4586 logs filter-log-events --log-group-name {GROUP} --limit 5",
            "reads it back",
        ),
        (f"{kept}/agent.log", "what the agent said"),
    ]


@asynccontextmanager
async def _agent(place: Path, endpoint: str, pods: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """`falcowatch run` as a process of its own, and the address it serves."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FALCOWATCH_", "AWS_"))}
    environment |= {
        "NO_PROXY": "127.0.0.1",  # a proxy for AWS must not be asked for this machine
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
    """The port the agent said it listens on."""
    async with asyncio.timeout(STALLED_SECONDS):
        while process.returncode is None:
            for line in log_path.read_bytes().splitlines():
                with contextlib.suppress(json.JSONDecodeError):
                    said = orjson.loads(line)
                    if said.get("event") == "listening":
                        return int(said["port"])
            await asyncio.sleep(0.02)
    raise DemoFailed(f"the agent did not start:\n{log_path.read_text(errors='replace').strip()}")


@contextmanager
def _workplace(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        if keep.exists() and any(keep.iterdir()):
            raise DemoFailed(f"{keep} is not empty; name a new directory with --keep")
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    place = Path(tempfile.mkdtemp(prefix="falcowatch-demo-"))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
