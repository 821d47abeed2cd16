"""Makes seals of heartbeats: each states, for every file that moved, which records CloudWatch has acknowledged.

A seal is written to the checkpoint before it is sent, together with the chain that it ends. So a crash can neither
leave a hole in the chain nor make two different seals of the same number. While the checkpoint cannot be written,
heartbeats go out without a seal, and the next seal names them. While CloudWatch has not acknowledged the last seal, no
new one is made: the next seal covers that time too. A seal that CloudWatch rejects is sent again.

Seals are made one at a time. Cancelling is safe at every wait: a seal that was not sent is in the checkpoint or is
made again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from agent.core.proof.seal import (
    LARGEST_FILES_BYTES,
    Chain,
    FileStatement,
    SealState,
    head_of,
    mac_of,
    seal_body,
    seal_id,
    stated_in,
    with_mac,
)
from agent.core.proof.segment import Statement
from agent.selfmonitor.counts import Counts
from agent.selfmonitor.events import OwnEvent
from agent.selfmonitor.outbox import Outbox
from agent.tail.checkpoint import PendingEvent
from agent.tail.reader import Reader
from agent.tail.types import Gap
from agent.telemetry import Telemetry

SEAL_RECORDS: Final = 100_000
SEAL_BYTES: Final = 64 * 1024 * 1024
"""A seal is due after so many records or bytes, if that is sooner than the next heartbeat."""

SINCE_BYTES: Final = 30
"""A comma, and the number of the seal that is added to a statement."""

SEND_AGAIN_SECONDS: Final = 5.0
"""A seal that CloudWatch has rejected is not sent more often."""

MOST_UNSEALED: Final = 1000
"""Heartbeats without a seal that the next seal names."""

MOST_KEPT: Final = 10_000
"""Statements that wait for a seal. Beyond it the oldest are dropped, and an audit names the hole."""

Save = Callable[[], Awaitable[bool]]
"""Writes the checkpoint; returns whether it is on disk."""

Sign = Callable[[bytes], Awaitable[str]]
"""The code of a message by a key that is not on this node. Raises FalcowatchError."""

log = logging.getLogger(__name__)


class Sealer:
    """The chain of this node."""

    def __init__(
        self,
        chain: Chain,
        kept: Sequence[bytes],
        *,
        settings: str,
        reader: Reader,
        outbox: Outbox,
        counts: Counts,
        telemetry: Telemetry,
        sign: Sign | None = None,
    ) -> None:
        """`kept`: encoded statements of the last run. `settings`: digest of the settings that filter."""
        self._chain = chain
        self._kept = list(kept)
        self._settings = settings
        self._reader = reader
        self._outbox = outbox
        self._counts = counts
        self._telemetry = telemetry
        self._sign = sign
        self._started_ms = int(time.time() * 1000)
        self._unsaved: PendingEvent | None = None
        """A seal that is in no checkpoint yet."""
        self._last_id = ""
        self._send_again_at = 0.0
        """In seconds of the monotonic clock."""
        self._unsealed: list[str] = []
        self._turn = asyncio.Lock()
        self._sealed_records = self._sealed_bytes = 0
        self.due = asyncio.Event()
        """So much was read that the next seal should not wait for its time."""
        self._show()

    def note_gap(self, gap: Gap) -> None:
        """The next seal states the gap."""
        statement = Statement(gap.file, gap.start, gap.start)
        self._keep(FileStatement(statement, [(gap.start, gap.end, gap.why)]).encoded())

    def state(self) -> SealState:
        """The state for the checkpoint. Take it together with the positions of the files."""
        read = self._counts.read - self._sealed_records, self._counts.read_bytes - self._sealed_bytes
        if read[0] >= SEAL_RECORDS or read[1] >= SEAL_BYTES:
            self.due.set()
        files = (*self._kept, *(FileStatement(statement).encoded() for statement in self._reader.statements()))
        return SealState(self._chain, files, self._reader.settled_unshipped())

    async def seal(self, heartbeat: OwnEvent, save: Save, *, leaving: bool = False) -> bool:
        """Sends the heartbeat as a seal; without one if the checkpoint cannot be written.

        Returns whether the heartbeat was sent: not while the last seal is on its way.
        """
        async with self._turn:
            self.due.clear()
            self._send_rejected()
            if self._unsaved is None and self._last_id in self._outbox and not leaving:
                return False
            is_older = self._unsaved is not None
            if not is_older:
                await self._make(heartbeat, leaving=leaving)
            is_sent = await self._send_saved(save)
            if is_sent and is_older and leaving:
                # The older seal does not say that the agent leaves.
                await self._make(heartbeat, leaving=True)
                is_older, is_sent = False, await self._send_saved(save)
            if is_sent:
                return not is_older
            self._unsealed.append(self._outbox.publish(heartbeat))
            del self._unsealed[:-MOST_UNSEALED]
            return True

    def _send_rejected(self) -> None:
        now = time.monotonic()
        if now >= self._send_again_at and self._outbox.send_rejected():
            self._send_again_at = now + SEND_AGAIN_SECONDS

    async def _send_saved(self, save: Save) -> bool:
        """Sends the seal that was made, if the checkpoint that holds it is on disk."""
        if not await save() or self._unsaved is None:
            return False
        event, self._unsaved = self._unsaved, None
        self._last_id = event.id
        self._outbox.send(event)
        self._show()
        return True

    async def _make(self, heartbeat: OwnEvent, *, leaving: bool) -> None:
        statements = self._reader.statements()
        encoded = [*self._kept, *(FileStatement(statement).encoded() for statement in statements)]
        taken = _first(encoded)
        if taken < len(encoded):
            self.due.set()
        kept, chain, unsealed = len(self._kept), self._chain, list(self._unsealed)
        body = seal_body(
            chain,
            [stated_in(statement, chain.number + 1) for statement in encoded[:taken]],
            started_ms=self._started_ms,
            settings=self._settings,
            leaving=leaving,
            unsealed=unsealed,
        )
        time_ms = int(time.time() * 1000)
        event = self._event(heartbeat, body, time_ms)
        if mac := await self._mac(event.message.encode()):
            event = self._event(heartbeat, with_mac(body, mac), time_ms)
        # From here on nothing waits: the chain, the statements and the event change together.
        self._chain = chain.after(event.message.encode())
        del self._kept[: min(taken, kept)]
        self._reader.note_stated(statements[: max(0, taken - kept)], self._chain.number)
        del self._unsealed[: len(unsealed)]
        self._sealed_records, self._sealed_bytes = self._counts.read, self._counts.read_bytes
        self._outbox.hold(event)
        self._unsaved = event

    def _event(self, heartbeat: OwnEvent, body: bytes, time_ms: int) -> PendingEvent:
        return self._outbox.stamped(heartbeat, seal_id(self._chain), time_ms, extra=b',"seal":%b' % body)

    async def _mac(self, message: bytes) -> str:
        """The code of the message; empty: it has none."""
        if self._sign is not None:
            with self._telemetry.defects.contained("selfmonitor"):
                return await self._sign(message)
            return ""
        return mac_of(message, bytes.fromhex(self._chain.key)) if self._chain.key else ""

    def _keep(self, statement: bytes) -> None:
        self._kept.append(statement)
        if len(self._kept) > MOST_KEPT:
            del self._kept[0]
            log.error("a statement for the seals was dropped: too many wait for a checkpoint")

    def _show(self) -> None:
        """Prometheus remembers the head of the chain."""
        if self._unsaved is None:
            self._telemetry.seal_number.set(self._chain.number)
            self._telemetry.seal_head.set(head_of(self._chain.previous))


def _first(encoded: Sequence[bytes]) -> int:
    """The number of statements that fit into one seal: at least one."""
    size = 0
    for number, statement in enumerate(encoded):
        size += len(statement) + SINCE_BYTES
        if size > LARGEST_FILES_BYTES and number:
            return number
    return len(encoded)
