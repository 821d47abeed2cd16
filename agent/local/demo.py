"""The demo: the whole path of an alert on one machine, without AWS and without a cluster.

A player writes captured Falco alerts into log files, rotated as kubelet rotates them. The agent runs as a separate
process, configured by environment variables as a user would configure it, and ships to an embedded CloudWatch Logs.
At the end the audit proves from the embedded CloudWatch alone that nothing is missing, altered or forged. As a second
check, every alert that was written is compared, byte for byte, with what the embedded CloudWatch received.
With `--chaos` the script in `chaos` disturbs all of this.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import aiohttp
import orjson

from agent.audit.report import AuditResult
from agent.errors import DemoFailed
from agent.local.agent_process import AgentProcess, environment_of
from agent.local.audited import audit_group
from agent.local.chaos import Entry, Script
from agent.local.chaos_run import ChaosRun
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
    chaos: Script | None = None
    """Play this script, for as long as it takes."""

    @property
    def paced(self) -> int:
        """Alerts that are written at `rate`."""
        seconds = self.seconds if self.chaos is None else self.chaos.writing_seconds
        return self.alerts if seconds is None else round(self.rate * seconds)

    @property
    def target(self) -> int:
        """All alerts, with the flood and the Critical behind it."""
        return self.paced + (0 if self.chaos is None else self.chaos.flood_alerts + 1)


async def demonstrate(options: DemoOptions) -> None:
    """Run the demo. Raises DemoFailed when the audit does not prove the events, or when the agent failed."""
    view = DemoView()
    with _directory(options.keep) as place, as_file(files("agent.local") / "data" / "pods.json") as pods:
        async with EmbeddedCloudWatch(data_dir=place / "cloudwatch") as cloudwatch:
            player = Player(place / "pods")
            environment = environment_of(place, cloudwatch.url, pods)
            async with AgentProcess(environment, place / "agent.log") as agent:
                run = DemoRun(options, cloudwatch, player, agent)
                for line in introduction(agent.url, cloudwatch.url):
                    view.announce(line)
                with view:
                    await run.play(view)
                await agent.terminate()
            view.list_steps(run.steps)
            view.announce(f"The agent has stopped. Audit: falcowatch audit --group {GROUP}")
            audit = await audit_group(GROUP, environment)
            outcome = run.prove(audit)
        view.conclude(outcome)
        if not outcome.holds:
            raise DemoFailed(f"{outcome.failure}; run the demo with --keep DIR to keep all files")


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

    def __init__(
        self, options: DemoOptions, cloudwatch: EmbeddedCloudWatch, player: Player, agent: AgentProcess
    ) -> None:
        self._options = options
        self._cloudwatch = cloudwatch
        self._player = player
        self._agent = agent
        self._chaos = None if options.chaos is None else ChaosRun(cloudwatch, player, agent, options.chaos)
        self._follower = cloudwatch.follow(GROUP)
        self._comparison = Comparison(player.digests)
        self._latest_alerts: deque[LatestAlert] = deque(maxlen=LATEST_ALERTS)
        self._rates = {"written": Rate(), "arrived": Rate(), "puts": Rate()}
        self._paced = 0
        self._backpressure = False
        self._elapsed_seconds = 0.0
        self._next_status_at = 0.0

    @property
    def steps(self) -> tuple[Entry, ...]:
        """The steps of the chaos that were done."""
        return () if self._chaos is None else self._chaos.entries

    async def play(self, view: DemoView) -> None:
        """Write alerts at the chosen rate and show what arrives, until all of them have arrived."""
        began = progressed = time.monotonic()
        seen = 0
        async with aiohttp.ClientSession() as session:
            while True:
                now = time.monotonic()
                self._agent.check()
                due = min(self._options.paced, int((now - began + TICK_SECONDS) * self._options.rate))
                if missing := due - self._paced:
                    await asyncio.to_thread(self._player.play, missing)
                    self._paced = due
                if self._chaos is not None:
                    await self._chaos.act(now - began)
                self._receive()
                self._elapsed_seconds = time.monotonic() - began
                done = self._is_done()
                await self._fetch_status(session, at_once=done)
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

    def _is_done(self) -> bool:
        is_over = self._chaos is None or self._chaos.is_over
        return is_over and self._comparison.arrived == self._options.target

    def prove(self, audit: AuditResult) -> Outcome:
        """Compare all received events with all written alerts. Call it after the agent has exited."""
        self._receive()
        self._player.close()
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        comparison = self._comparison
        return Outcome(
            audit=audit,
            written=len(self._player.digests),
            arrived=comparison.arrived,
            duplicates=comparison.duplicates,
            altered=comparison.altered,
            seconds=self._elapsed_seconds,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            peak_bytes=usage.ru_maxrss * 1024,
            next_steps=_next_steps(self._options),
        )

    def _receive(self) -> None:
        events = list(self._follower.new_events())
        if self._chaos is not None:
            self._chaos.observe(self._elapsed_seconds, events)
        messages = [event.message for event in events]
        self._comparison.add(messages)
        latest = [alert for message in messages[-LATEST_ALERTS:] if (alert := _latest_alert(message))]
        self._latest_alerts.extend(latest)

    async def _fetch_status(self, session: aiohttp.ClientSession, *, at_once: bool) -> None:
        if self._elapsed_seconds < self._next_status_at and not at_once:
            return
        self._next_status_at = self._elapsed_seconds + STATUS_SECONDS
        # The status is only displayed, and an agent that was killed has none. The proof does not need it.
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.get(f"{self._agent.url}/status", timeout=aiohttp.ClientTimeout(1)) as response:
                self._backpressure = bool((await response.json()).get("backpressure"))

    def _progress(self) -> DemoProgress:
        now, comparison = self._elapsed_seconds, self._comparison
        written, puts = len(self._player.digests), self._cloudwatch.requests.count("PutLogEvents")
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
            backpressure=self._backpressure,
            chaos=None if self._chaos is None else self.steps,
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


def _next_steps(options: DemoOptions) -> list[tuple[str, str]]:
    kept = options.keep
    if kept is None:
        chaos = ("falcowatch demo --chaos", "disturbs all of it for a minute, and proves the result")
        return [
            *([chaos] if options.chaos is None else []),
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
