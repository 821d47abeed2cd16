"""Checks the codes of seals that were signed with a key of AWS KMS. KMS verifies each one, a few at a time."""

from __future__ import annotations

import asyncio
import base64
import binascii
import random
from collections.abc import Iterable
from typing import Protocol

from agent.audit.filtered import BACKOFF, MOST_ATTEMPTS
from agent.audit.history import HeldSeal, NodeHistory
from agent.core.proof.seal import without_mac
from agent.errors import Throttled, Unavailable

PREFIX = "kms:"
AT_ONCE = 8


class Key(Protocol):
    """A key that verifies; `cloudwatch.kms_verify.VerifyingKey` is one."""

    async def verify(self, message: bytes, signature: bytes, algorithm: str) -> bool: ...


class KmsMacs:
    """Implements Macs. `verify` asks KMS about the seals of one node before `holds` is asked about them."""

    def __init__(self, key: Key) -> None:
        self._key = key
        self._holds: dict[int, bool] = {}

    def holds(self, seal: HeldSeal, message: bytes) -> bool | None:
        return self._holds[seal.row] if seal.mac.startswith(PREFIX) else None

    async def verify(self, history: NodeHistory) -> None:
        """Raises PutError when KMS does not answer."""
        waiting = iter([seal for seal in history.seals() if seal.mac.startswith(PREFIX)])
        self._holds.clear()
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(AT_ONCE):
                    tasks.create_task(self._verify_some(history, waiting))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors  # the others failed for the same reason

    async def _verify_some(self, history: NodeHistory, waiting: Iterable[HeldSeal]) -> None:
        for seal in waiting:
            algorithm, _, encoded = seal.mac.removeprefix(PREFIX).partition(":")
            try:
                signature = base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError):
                signature = b""
            message = without_mac(history.message(seal))
            self._holds[seal.row] = bool(signature) and await self._verified(message, signature, algorithm)

    async def _verified(self, message: bytes, signature: bytes, algorithm: str) -> bool:
        failures = 0
        while True:
            try:
                return await self._key.verify(message, signature, algorithm)
            except (Throttled, Unavailable):
                failures += 1
                if failures >= MOST_ATTEMPTS:
                    raise
                await asyncio.sleep(BACKOFF.seconds(failures, random.random()))
