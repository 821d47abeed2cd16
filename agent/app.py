"""Builds every part and joins them; owns signals and the drain. The one place that knows all parts.

Life: open what must be open, read and ship until told to stop, then stop reading, ship what is in
hand under a deadline, write progress down, leave. What is left is in the log files.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version

from agent import memory
from agent.cloudwatch.client import LogsClient, open_cloudwatch
from agent.cloudwatch.entity import cluster_entity
from agent.core.processing.urgent_scan import UrgentMatcher
from agent.core.reading.pod_paths import Selection
from agent.core.values import Destination, Lane
from agent.deadletters import commands
from agent.deadletters.store import DeadLetterStore
from agent.deadletters.writer import DeadLetterWriter
from agent.enrich.enricher import PodEnricher
from agent.enrich.factory import build_enricher
from agent.flow.budget import Budget
from agent.pipeline import URGENT_BUDGET_SHARE, Pipeline
from agent.progress import Progress
from agent.selfmonitor import Liveness, Notices
from agent.settings import Settings
from agent.ship.delivery import Sender
from agent.ship.journal import Journal
from agent.ship.readback import arrived
from agent.ship.shipper import Shipper
from agent.status import Parts, Status
from agent.tail.checkpoint import Checkpoint, Restored
from agent.tail.reader import Reader
from agent.tail.reading import Reading
from agent.telemetry import Telemetry
from agent.vigil import beat, watch_drift, watch_falco, watch_storms
from agent.web import serve

log = logging.getLogger(__name__)
VERSION = version("falcowatch")


async def run_agent(
    settings: Settings, stop: asyncio.Event, *, listening: Callable[[int], None] = lambda port: None
) -> None:
    """Runs until `stop` is set; `listening` is told the HTTP port. Raises FalcowatchError when it cannot start."""
    checkpoint = Checkpoint(settings.state_dir)
    restored = checkpoint.open()
    try:
        async with open_cloudwatch(settings.cloudwatch, user_agent_extra=f"falcowatch/{VERSION}") as client:
            agent = Agent(settings, client, checkpoint, restored)
            status = agent.status
            async with serve(
                settings.http, agent.telemetry, report=status.report, health=status.health, readiness=status.readiness
            ) as port:
                log.info("listening", extra={"host": settings.http.host, "port": port})
                memory.forget_what_stays()
                listening(port)
                await agent.run(stop)
    finally:
        checkpoint.close()


class Agent:
    """All stations of one agent."""

    def __init__(self, settings: Settings, client: LogsClient, checkpoint: Checkpoint, restored: Restored) -> None:
        self.settings = settings
        self.client = client
        self.group = self._destination(Lane.ROUTINE, settings.tail.namespace).group
        self.telemetry = Telemetry(VERSION)
        limit = settings.memory_budget_bytes
        self.budget = Budget(limit, limit // URGENT_BUDGET_SHARE)
        store = DeadLetterStore(settings.state_dir / commands.DIRECTORY)
        self.dead_letters = DeadLetterWriter(store, self.telemetry)
        notices = Notices(self.telemetry)
        self.silence = Liveness(settings.falco.silent_seconds)
        self.enricher = build_enricher(settings, self.telemetry)
        exact = settings.cloudwatch.resume == "exact"
        self.journal = Journal(settings.state_dir / "journal") if exact else None
        self._intents = self.journal.open() if self.journal is not None else []
        self.shipper = Shipper(
            settings.cloudwatch,
            client,
            destination=self._destination,
            budget=self.budget,
            rejected=self.dead_letters,
            telemetry=self.telemetry,
            sender=Sender(settings.node_name, settings.cluster_name, self._entity()),
            journal=self.journal,
        )
        self.pipeline = Pipeline(
            settings,
            budget=self.budget,
            enricher=self.enricher,
            shipper=self.shipper,
            dead_letters=self.dead_letters,
            notices=notices,
            telemetry=self.telemetry,
        )
        reading = Reading(
            settings.tail,
            self.budget,
            self.telemetry,
            self.pipeline.convey,
            self.pipeline.announce,
            restored.positions,
            matcher=UrgentMatcher(settings.falco.urgent_priority) if settings.falco.express_bytes else None,
            express_bytes=settings.falco.express_bytes,
        )
        if self._intents:
            reading.allowed.clear()
        self.reader = Reader(reading, restored)
        parts = Parts(
            settings,
            self.group,
            self.telemetry,
            self.budget,
            self.reader,
            self.pipeline,
            self.shipper,
            notices,
            self.silence,
        )
        self.status = Status(parts, VERSION)
        self.progress = Progress(
            self.reader, self.pipeline, checkpoint, self.journal, self.telemetry, self.status.saved
        )
        self.pipeline.tell_again(restored.pending_events)

    async def run(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as stations:
            reading = stations.create_task(self.reader.run(), name="reader")
            others = [
                stations.create_task(work, name=name)
                for name, work in {
                    "shipper": self.shipper.run(),
                    "enricher": self.enricher.run(),
                    "checkpoint": self.progress.keep(),
                    "resume": self._resume(),
                    "status": self.status.run(),
                    "drift": watch_drift(self.settings.cloudwatch, self.client, self.group, self.telemetry),
                    **({"storms": watch_storms(self.pipeline)} if self.settings.falco.storm_limit else {}),
                    "silence": self._watch_falco(),
                    "heartbeat": beat(
                        self.settings.heartbeat_seconds, lambda: self.status.report().books, self.pipeline
                    ),
                }.items()
            ]
            log.info("agent started", extra={"version": VERSION, "node": self.settings.node_name})
            await stop.wait()
            log.info("agent stopping", extra={"drain_seconds": self.settings.drain_seconds})
            reading.cancel()
            await asyncio.wait([reading])
            self.pipeline.tell_storms(at_once=True)
            await self._drain()
            for task in others:
                task.cancel()
        await self.progress.save()
        self.reader.close()
        log.info("agent stopped")

    async def _resume(self) -> None:
        """Nothing is read until it is known what a life that crashed had delivered, if that is to be known at all."""
        settled: dict[str, set[int]] = {}
        if self._intents:
            log.info("asking for what arrived before the crash", extra={"batches": len(self._intents)})
            settled = await arrived(self.client, self._intents)
            records = sum(map(len, settled.values()))
            log.info("resumed", extra={"batches": len(self._intents), "arrived": records})
        self._intents = []
        self.reader.allow(settled)
        if self.journal is not None:
            self.journal.resumed()

    async def _watch_falco(self) -> None:
        tail, enricher = self.settings.tail, self.enricher
        pods = enricher.living if isinstance(enricher, PodEnricher) else tuple
        selected = Selection(tail.namespace, tail.pod, tail.container)
        await watch_falco(self.reader, pods, self.silence, self.pipeline, selected)

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(self.settings.drain_seconds):
                await self.shipper.drain()
        except TimeoutError:
            left = sum(queue.records for queue in self.shipper.queues)
            log.warning(
                "drain ended by its deadline; the rest is read again at the next start", extra={"records": left}
            )

    def _entity(self) -> Mapping[str, object] | None:
        settings = self.settings
        if not settings.cloudwatch.entity:
            return None
        return cluster_entity(
            cluster_name=settings.cluster_name, node_name=settings.node_name, namespace=settings.tail.namespace
        )

    def _destination(self, lane: Lane, namespace: str) -> Destination:
        names = {"cluster": self.settings.cluster_name, "node": self.settings.node_name, "namespace": namespace}
        stream = self.settings.cloudwatch.log_stream.format(**names)
        suffix = {Lane.ROUTINE: "", Lane.URGENT: "/urgent", Lane.OTHER: "/falco-log"}[lane]
        return Destination(self.settings.log_group_template.format(**names), stream + suffix)


@contextmanager
def stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """SIGTERM or SIGINT sets `stop`; a second one ends the process at once."""
    loop = asyncio.get_running_loop()

    def receive(number: signal.Signals) -> None:
        if stop.is_set():
            log.warning("second signal, leaving at once", extra={"signal": number.name})
            os._exit(128 + number)
        stop.set()

    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, receive, number)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
