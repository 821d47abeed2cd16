"""Verifies signatures of seals with an asymmetric key of AWS KMS.

The digest of the message is sent instead of the message, because KMS takes messages of 4,096 bytes at most. Region,
credentials and role are those of CloudWatch Logs. The endpoint is that of the region, or AWS_ENDPOINT_URL_KMS. Every
call is tried once, ends within `cloudwatch.timeout_seconds`, and raises only PutError.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any, Final

from agent.cloudwatch.connection import Connector
from agent.cloudwatch.credentials import renewed
from agent.cloudwatch.error_map import FOREIGN_ERRORS, code_of, put_error, without_body
from agent.errors import Unavailable
from agent.settings.model import CloudWatch

ALGORITHMS: Final = frozenset({"ECDSA_SHA_256", "RSASSA_PSS_SHA_256", "RSASSA_PKCS1_V1_5_SHA_256"})
"""Those of KMS that sign a SHA-256 (reference of Verify, read 2026-11)."""

_INVALID_SIGNATURE: Final = "KMSInvalidSignatureException"
_UNREADABLE: Final = (TypeError, ValueError, AttributeError, KeyError)


class VerifyingKey:
    """One key. Made by `open_key`."""

    def __init__(self, client: Any, credentials: Any, key_id: str, timeout_seconds: float) -> None:
        self._client = client
        self._credentials = credentials
        self._key_id = key_id
        self._timeout_seconds = timeout_seconds

    async def verify(self, message: bytes, signature: bytes, algorithm: str) -> bool:
        """Whether this key made the signature of this message. False also for an algorithm that seals do not use."""
        if algorithm not in ALGORITHMS:
            return False
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await renewed(self._credentials)
                reply = await self._client.verify(
                    KeyId=self._key_id,
                    Message=sha256(message).digest(),
                    MessageType="DIGEST",
                    Signature=signature,
                    SigningAlgorithm=algorithm,
                )
                return reply.get("SignatureValid") is True
        except FOREIGN_ERRORS as error:
            if code_of(error) == _INVALID_SIGNATURE:
                return False
            raise put_error(error, operation="Verify", target=f"KMS key {self._key_id}") from without_body(error)
        except _UNREADABLE as error:
            raise Unavailable(
                f"Verify for KMS key {self._key_id}: the answer is not that of KMS; "
                "check AWS_ENDPOINT_URL_KMS and HTTPS_PROXY",
                reason="unexpected",
            ) from without_body(error)


@asynccontextmanager
async def open_key(settings: CloudWatch, key_id: str) -> AsyncIterator[VerifyingKey]:
    """The key with this id, ARN or alias. Raises SettingsError without a region, and PutError without credentials."""
    connector = Connector(settings, user_agent_extra="falcowatch")
    try:
        connection = await connector.current()
        async with connection.session.create_client("kms") as client:
            yield VerifyingKey(client, connection.credentials, key_id, settings.timeout_seconds)
    finally:
        await connector.renew()
