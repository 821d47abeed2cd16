"""The life of the agent: open the state directory, start the parts, run until a signal, drain, leave.

Every part is one task of a single task group. Reader, shipper and checkpoint end the agent when they fail; every other
part is supervised, and starts again. At the end the reader stops first; then the shipper ships what was read, for at
most `drain_seconds`; then the last checkpoint is written. Records that are not shipped by then are still in the log
files, and the next run reads them again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from typing import Final

from agent import memory
from agent.cloudwatch.client import LogsClient, open_cloudwatch
from agent.errors import FalcowatchError
from agent.flow.supervise import supervise
from agent.parts import build_parts
from agent.progress import Progress
from agent.selfmonitor.drift import watch_drift
from agent.selfmonitor.events import OwnEvent
from agent.selfmonitor.heartbeat import Heartbeat
from agent.settings import Settings
from agent.ship.readback import arrived
from agent.status import Status
from agent.tail.checkpoint import Checkpoint, Restored
from agent.tail.descriptors import raise_limit
from agent.telemetry.defects import Part
from agent.web import serve

LEAVING_SECONDS: Final = 5.0
"""For the last seal. It is in the checkpoint, so the next run sends it if this one cannot."""

START_SECONDS: Final = 5.0
"""After this time the first put has been made, and memory that only the start needed is returned."""

log = logging.getLogger(__name__)
VERSION = version("falcowatch")


async def run_agent(
    settings: Settings, stop: asyncio.Event, *, listening: Callable[[int], None] = lambda port: None
) -> None:
    """Runs until `stop` is set. `listening` is called with the HTTP port.

    Raises FalcowatchError when the agent cannot start, or cannot go on: its state directory now belongs to another one.
    """
    raise_limit()
    checkpoint = Checkpoint(settings.state_dir)
    restored = checkpoint.open()
    try:
        async with open_cloudwatch(settings.cloudwatch, user_agent_extra=f"falcowatch/{VERSION}") as client:
            agent = Agent(settings, client, checkpoint, restored)
            status = agent.status
            async with serve(
                settings.http,
                agent.parts.telemetry,
                report=status.report,
                health=status.health,
                readiness=status.readiness,
            ) as port:
                log.info("listening", extra={"host": settings.http.host, "port": port})
                memory.exclude_living_objects()
                started = asyncio.get_running_loop().call_later(START_SECONDS, memory.return_memory_of_start)
                listening(port)
                try:
                    await agent.run(stop)
                finally:
                    started.cancel()
    except BaseExceptionGroup as group:
        raise _foreseen(group) or group from None
    finally:
        checkpoint.close()


def _foreseen(group: BaseExceptionGroup[BaseException]) -> FalcowatchError | None:
    """The error to show as a sentence; None when the group holds a defect, which needs its traceback."""
    foreseen, defects = group.split(FalcowatchError)
    if defects is not None or foreseen is None:
        return None
    error: BaseException = foreseen
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, FalcowatchError) else None


class Agent:
    """The parts, joined and ready to run."""

    def __init__(self, settings: Settings, client: LogsClient, checkpoint: Checkpoint, restored: Restored) -> None:
        parts = self.parts = build_parts(settings, client, restored, VERSION)
        self.status = Status(parts, VERSION)
        self.progress = Progress(
            parts.reader,
            parts.outbox,
            checkpoint,
            parts.journal,
            parts.telemetry,
            moved=parts.reading.moved,
            saved=self.status.saved,
            seal=parts.sealer.state if parts.sealer is not None else lambda: None,
        )
        self.heartbeat = Heartbeat(
            settings.heartbeat_seconds,
            books=self.status.books,
            gaps=parts.gaps,
            defects=parts.telemetry.defects,
            state=self.status.heartbeat_fields,
            send=self._send_heartbeat,
            due=parts.sealer.due if parts.sealer is not None else asyncio.Event(),
        )
        self._intents = parts.journal.open() if parts.journal is not None else []
        if self._intents:
            parts.reading.allowed.clear()
        parts.outbox.resend(restored.pending_events)

    async def run(self, stop: asyncio.Event) -> None:
        """Runs every part until `stop` is set, then drains and writes the last checkpoint."""
        parts, settings = self.parts, self.parts.settings
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(parts.reader.run(), name="reader")
            others = [
                group.create_task(parts.shipper.run(), name="shipper"),
                group.create_task(self.progress.run(), name="checkpoint"),
                group.create_task(self._resume(), name="resume"),
                *(
                    group.create_task(supervise(work, failed=partial(parts.telemetry.defects.note, part)), name=name)
                    for name, part, work in self._supervised()
                ),
            ]
            log.info("agent started", extra={"version": VERSION, "node": settings.node_name})
            await stop.wait()
            log.info("agent stopping", extra={"drain_seconds": settings.drain_seconds})
            reading.cancel()
            await asyncio.wait([reading])
            with parts.telemetry.defects.contained("selfmonitor"):
                parts.duplicates.publish(at_once=True)
            await parts.pod_wait.release_all()
            drained = await self._drain(settings.drain_seconds)
            if parts.sealer is not None:
                with parts.telemetry.defects.contained("selfmonitor"):
                    await self.heartbeat.leave()
                if drained:
                    await self._drain(LEAVING_SECONDS)
            for task in others:
                task.cancel()
        await self.progress.save()
        parts.reader.close()
        log.info("agent stopped")

    def _supervised(self) -> Sequence[tuple[str, Part, Callable[[], Awaitable[None]]]]:
        """Name, part and work of each task that must not end the agent."""
        parts, settings = self.parts, self.parts.settings
        return (
            ("dead-letters", "selfmonitor", parts.dead_letters.run),
            ("enricher", "enrichment", parts.enricher.run),
            ("pods", "enrichment", parts.pod_wait.run),
            ("status", "selfmonitor", self.status.run),
            ("duplicates", "selfmonitor", parts.duplicates.run),
            ("falco", "selfmonitor", parts.falco_watch.run),
            ("enrichment-watch", "selfmonitor", parts.enrichment_watch.run),
            (
                "drift",
                "selfmonitor",
                partial(watch_drift, settings.cloudwatch, parts.client, parts.group, parts.telemetry),
            ),
            ("heartbeat", "selfmonitor", self.heartbeat.run),
        )

    async def _resume(self) -> None:
        """Allows reading. With exact resume, first asks CloudWatch which batches the last run delivered."""
        parts = self.parts
        settled: dict[str, set[int]] = {}
        if self._intents:
            log.info("reading back what arrived before the crash", extra={"batches": len(self._intents)})
            waited_seconds = parts.journal.resuming_seconds if parts.journal is not None else 0.0
            settled = await arrived(parts.client, self._intents, waited_seconds=waited_seconds)
            records = sum(map(len, settled.values()))
            log.info("resumed", extra={"batches": len(self._intents), "arrived": records})
        self._intents = []
        parts.reader.allow(settled)
        if parts.journal is not None:
            parts.journal.resumed()

    async def _send_heartbeat(self, heartbeat: OwnEvent, leaving: bool) -> bool:
        if self.parts.sealer is not None:
            return await self.parts.sealer.seal(heartbeat, self.progress.save, leaving=leaving)
        self.parts.outbox.publish(heartbeat)
        return True

    async def _drain(self, seconds: float) -> bool:
        """Whether everything has shipped in that time."""
        shipper = self.parts.shipper
        try:
            async with asyncio.timeout(seconds):
                await shipper.drain()
        except TimeoutError:
            left = sum(queue.records for queue in shipper.queues)
            log.warning(
                "drain ended by its deadline; the rest is read again at the next start", extra={"records": left}
            )
            return False
        return True


@contextmanager
def stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """The first SIGTERM, SIGINT or SIGHUP sets `stop`; a second one ends the process at once."""
    loop = asyncio.get_running_loop()

    def receive(number: signal.Signals) -> None:
        if stop.is_set():
            log.warning("second signal, leaving at once", extra={"signal": number.name})
            os._exit(128 + number)
        stop.set()

    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    for number in signals:
        loop.add_signal_handler(number, receive, number)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
