"""Announces in CloudWatch a dead letter that could neither be written nor held: its record exists nowhere else."""

from __future__ import annotations

from typing import Final

from agent.core.dead_letter import DeadLetter
from agent.selfmonitor.events import OwnEvent
from agent.selfmonitor.outbox import Outbox

KIND: Final = "dead letter lost"
SHOWN_BYTES: Final = 2048
MOST_PENDING: Final = 100
"""More events than this are not kept across a crash, because the checkpoint holds every kept event."""


def announce_lost(outbox: Outbox, dead_letter: DeadLetter) -> None:
    where = f"{dead_letter.file}:{dead_letter.offset}"
    fields: dict[str, object] = {
        "id": where,
        "reason": dead_letter.reason,
        "bytes": dead_letter.size,
        "sha256": dead_letter.digest,
        "text": dead_letter.message[:SHOWN_BYTES].decode(errors="replace"),
    }
    output = f"the rejected record {where} ({dead_letter.reason}) could not be kept as a dead letter"
    event = OwnEvent(KIND, "Critical", output, fields)
    if len(outbox.pending) < MOST_PENDING:
        outbox.publish_durably(event, key=f"{where}:{dead_letter.reason}")
    else:
        outbox.publish(event)
