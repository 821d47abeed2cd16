"""What only we can say, said at intervals: a heartbeat with the books, and that Falco has gone quiet.

Both travel as events of our own, so that an alarm on missing data and a query over the books need
CloudWatch alone.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Final

from agent.core.values import Lane
from agent.errors import PutError
from agent.http.report import Books
from agent.pipeline import Pipeline, Saying
from agent.settings import CloudWatch
from agent.ship.cloudwatch import LogsClient
from agent.tail.reader import Reader
from agent.telemetry import Telemetry
from agent.watch import Sightings, Silence, Word

LOOK_SECONDS: Final = 5.0

DRIFT_SECONDS: Final = 6 * 3600.0
"""Spread by chance, since a fleet starts in step and DescribeLogGroups is allowed ten times a second an account."""

log = logging.getLogger(__name__)

_KINDS: Final = {
    "silent": "Falco is silent",
    "restarted": "Falco restarted",
    "vanished": "Falco vanished",
    "back": "Falco is back",
}
_SAYS: Final = {
    "silent": "Falco in {pod} has written nothing for {seconds:.0f} s",
    "restarted": "Falco in {pod} has restarted, {seconds:.0f} s after it last wrote",
    "vanished": "Falco in {pod} is gone from this node, {seconds:.0f} s after it last wrote",
    "back": "Falco in {pod} writes again",
}


async def watch_falco(reader: Reader, silence: Silence, pipeline: Pipeline) -> None:
    """Says when a Falco of this node falls silent, restarts, vanishes or is back; until cancelled."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        for word in silence.look(_sightings(reader), time.monotonic()):
            pipeline.say(_saying(word))


async def beat(seconds: float, books: Callable[[], Books], pipeline: Pipeline) -> None:
    """Says every so often that we are here and what the books are; 0 seconds: never."""
    if not seconds:
        return
    for sequence in itertools.count(1):
        pipeline.say(_heartbeat(sequence, books(), pipeline.gap_bytes))
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


def _heartbeat(sequence: int, books: Books, gap_bytes: int) -> Saying:
    fields: dict[str, object] = {f"books.{name}": value for name, value in asdict(books).items()}
    fields |= {"gap.bytes": gap_bytes, "heartbeat.sequence": sequence}
    # The alarm on rejects reads this text: CloudWatch's metric filters cannot name a key with a dot.
    output = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in asdict(books).items())
    return Saying("heartbeat", "Informational", output, fields, Lane.ROUTINE)


def _sightings(reader: Reader) -> Iterator[Sightings]:
    for source, wrote_at in reader.sightings:
        if source.pod_uid:
            restart = int(source.relative[-1].partition(".")[0])
            yield Sightings(f"{source.namespace}/{source.pod}", restart, wrote_at)
        else:
            yield Sightings(str(source.path), 0, wrote_at)


def _saying(word: Word) -> Saying:
    back = word.state == "back"
    return Saying(
        kind=_KINDS[word.state],
        priority="Notice" if back else "Critical",
        output=_SAYS[word.state].format(pod=word.pod, seconds=word.seconds),
        fields={"falco.pod": word.pod, "falco.state": word.state, "falco.silent_seconds": round(word.seconds, 1)},
        lane=Lane.URGENT,
    )
