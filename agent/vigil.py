"""What only we can say, said at intervals: a heartbeat with the books, that Falco has gone quiet, a storm.

They travel as events of our own, so that an alarm on missing data and a query over the books need
CloudWatch alone.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Final

from agent.cloudwatch.client import LogsClient
from agent.core.reading.pod_paths import PodDirectory, Selection
from agent.core.values import Lane
from agent.enrich.pod import Pod
from agent.errors import PutError
from agent.pipeline import Pipeline
from agent.selfmonitor import Liveness, OwnEvent, Sighting, Transition
from agent.selfmonitor.events import stamp
from agent.settings import CloudWatch
from agent.tail.reader import Reader
from agent.telemetry import Telemetry
from agent.web.report import Books

LOOK_SECONDS: Final = 5.0
STORM_LOOK_SECONDS: Final = 1.0

DRIFT_SECONDS: Final = 6 * 3600.0
"""Spread by chance, since a fleet starts in step and DescribeLogGroups is allowed ten times a second an account."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Wording:
    kind: str
    priority: str
    lane: Lane
    output: str


_WORDINGS: Final = {
    "silent": _Wording(
        "Falco is silent", "Critical", Lane.URGENT, "Falco in {name} has written nothing for {seconds:.0f} s"
    ),
    "restarted": _Wording(
        "Falco restarted", "Critical", Lane.URGENT, "Falco in {name} has restarted, {seconds:.0f} s after it last wrote"
    ),
    "vanished": _Wording(
        "Falco vanished",
        "Critical",
        Lane.URGENT,
        "Falco in {name} is gone from this node, {seconds:.0f} s after it last wrote, and none took its place",
    ),
    "replaced": _Wording("Falco was replaced", "Notice", Lane.ROUTINE, "Falco in {name} was replaced by {by}"),
    "back": _Wording("Falco is back", "Notice", Lane.URGENT, "Falco writes again in {by}"),
}


async def watch_falco(
    reader: Reader, pods: Callable[[], Iterable[Pod]], silence: Liveness, pipeline: Pipeline, selected: Selection
) -> None:
    """Says when a Falco of this node falls silent, restarts, vanishes or is back; until cancelled. A limit of 0: never.

    `pods` are those the API server tells of: one of them may never have written a log.
    """
    while silence.limit_seconds:
        await asyncio.sleep(min(LOOK_SECONDS, silence.limit_seconds / 4))
        look_for_falco(reader, pods(), silence, pipeline, selected, time.monotonic())


def look_for_falco(
    reader: Reader, pods: Iterable[Pod], silence: Liveness, pipeline: Pipeline, selected: Selection, now: float
) -> None:
    """Looks once, and says what there is to be said; nothing while the log root cannot be listed."""
    if reader.looked and reader.problem is None:
        for word in silence.look(_sightings(reader, pods, selected, now), now):
            own_event = _saying(word)
            log.warning(f"falco {word.state}", extra={"pod": word.name, "why": own_event.output})
            pipeline.say(own_event)


async def watch_storms(pipeline: Pipeline) -> None:
    """Tells the storms of each minute when it is over; until cancelled."""
    while True:
        await asyncio.sleep(STORM_LOOK_SECONDS)
        pipeline.tell_storms()


async def beat(seconds: float, books: Callable[[], Books], pipeline: Pipeline) -> None:
    """Says every so often that we are here and what the books are; 0 seconds: never."""
    if not seconds:
        return
    for sequence in itertools.count(1):
        pipeline.say(_heartbeat(sequence, books(), pipeline.gaps, pipeline.gap_bytes))
        await asyncio.sleep(seconds)


async def watch_drift(settings: CloudWatch, client: LogsClient, group: str, telemetry: Telemetry) -> None:
    """Compares the log group's settings with the configuration now and then; reports, never changes; until cancelled.

    Needs logs:DescribeLogGroups, which nothing else does: without it the metric stays away.
    """
    posture = (settings.retention_days, settings.log_class, settings.kms_key_id, settings.deletion_protection)
    while any(setting is not None for setting in posture):
        try:
            drift = await client.drift(group)
        except PutError as error:
            log.debug("log group could not be compared", extra={"group": group, "why": str(error)})
        else:
            telemetry.settings_drift.clear()
            for found in drift:
                telemetry.settings_drift.labels(found.setting).set(1)
                log.warning("log group differs from the configuration", extra={"group": group, **asdict(found)})
        await asyncio.sleep(DRIFT_SECONDS * random.uniform(0.5, 1.5))


def _heartbeat(sequence: int, books: Books, gaps: int, gap_bytes: int) -> OwnEvent:
    fields: dict[str, object] = {f"books.{name}": value for name, value in asdict(books).items()}
    fields |= {"gap.count": gaps, "gap.bytes": gap_bytes, "heartbeat.sequence": sequence}
    # A metric filter cannot name a key with a dot in it, so the text says it all, in this order.
    output = (
        f"read {books.read}, shipped {books.shipped}, filtered {books.filtered}, rejected {books.rejected}, "
        f"in flight {books.in_flight}, gaps {gaps}"
    )
    return OwnEvent("heartbeat", "Informational", output, fields, Lane.ROUTINE)


def _sightings(reader: Reader, pods: Iterable[Pod], selected: Selection, now: float) -> Iterator[Sighting]:
    for source, wrote_at in reader.sightings:
        if source.pod_uid:
            restart = int(source.relative[-1].partition(".")[0])
            key = f"{source.pod_uid}/{source.container}"
            yield Sighting(key, f"{source.namespace}/{source.pod}", restart, wrote_at)
        else:
            yield Sighting(str(source.path), str(source.path), 0, wrote_at)
    now_ms = time.time() * 1000
    for pod in pods:
        uid = pod.static_uid or pod.uid
        if selected.takes_pod(PodDirectory(pod.namespace, pod.name, uid)):
            for container in pod.containers:
                if selected.takes_container(container.name):
                    made_at = now - max(0.0, (now_ms - pod.created_ms) / 1000)
                    yield Sighting(f"{uid}/{container.name}", f"{pod.namespace}/{pod.name}", 0, made_at)


def _saying(word: Transition) -> OwnEvent:
    wording = _WORDINGS[word.state]
    by = word.by or word.name
    fields: dict[str, object] = {
        "falco.pod": word.name,
        "falco.state": word.state,
        "falco.silent_seconds": round(word.seconds, 1),
        "falco.last_wrote": stamp(int((time.time() - word.seconds) * 1000)),
    }
    if word.by:
        fields["falco.successor"] = word.by
    if word.at_start:
        fields["falco.found_at_start"] = True
    output = wording.output.format(name=word.name, seconds=word.seconds, by=by)
    if word.at_start:
        output += ", as found when the agent started"
    return OwnEvent(wording.kind, wording.priority, output, fields, wording.lane)
