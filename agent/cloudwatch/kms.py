"""Signs and verifies the digest of a seal with an asymmetric key of AWS KMS.

The digest is sent instead of the message, because KMS takes messages of 4,096 bytes at most. Region, credentials and
role are those of CloudWatch Logs. The endpoint is that of the region, or AWS_ENDPOINT_URL_KMS. Every call is tried
once, ends within `cloudwatch.timeout_seconds`, and raises only PutError.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from agent.cloudwatch.connection import Connector
from agent.cloudwatch.credentials import renewed
from agent.cloudwatch.error_map import FOREIGN_ERRORS, code_of, put_error, without_body
from agent.errors import Unavailable
from agent.settings.model import CloudWatch

USUAL_ALGORITHM: Final = "ECDSA_SHA_256"

_HASHES: Final = {"256": "sha256", "384": "sha384", "512": "sha512"}
_INVALID_SIGNATURE: Final = "KMSInvalidSignatureException"
_UNREADABLE: Final = (TypeError, ValueError, AttributeError, KeyError)


class KmsKey:
    """One key. Made by `open_kms`."""

    def __init__(self, client: Any, credentials: Any, key_id: str, timeout_seconds: float) -> None:
        self._client = client
        self._credentials = credentials
        self._key_id = key_id
        self._timeout_seconds = timeout_seconds

    async def sign(self, message: bytes, algorithm: str = USUAL_ALGORITHM) -> bytes:
        reply = await self._call("Sign", **self._arguments(message, algorithm))
        return bytes(reply["Signature"])

    async def verify(self, message: bytes, signature: bytes, algorithm: str) -> bool:
        """Whether this key made the signature of this message. False also for an algorithm that KMS does not know."""
        if algorithm.rpartition("_")[2] not in _HASHES:
            return False
        reply = await self._call("Verify", Signature=signature, **self._arguments(message, algorithm))
        return reply.get("SignatureValid") is True

    def _arguments(self, message: bytes, algorithm: str) -> dict[str, object]:
        digest = hashlib.new(_HASHES[algorithm.rpartition("_")[2]], message).digest()
        return {"KeyId": self._key_id, "Message": digest, "MessageType": "DIGEST", "SigningAlgorithm": algorithm}

    async def _call(self, operation: str, **arguments: object) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await renewed(self._credentials)
                reply: Mapping[str, Any] = await getattr(self._client, operation.lower())(**arguments)
                return reply
        except FOREIGN_ERRORS as error:
            if code_of(error) == _INVALID_SIGNATURE:
                return {"SignatureValid": False}
            raise put_error(error, operation=operation, target=f"KMS key {self._key_id}") from without_body(error)
        except _UNREADABLE as error:
            raise Unavailable(
                f"{operation} for KMS key {self._key_id}: the answer is not that of KMS; "
                "check AWS_ENDPOINT_URL_KMS and HTTPS_PROXY",
                reason="unexpected",
            ) from without_body(error)


@asynccontextmanager
async def open_kms(settings: CloudWatch, key_id: str) -> AsyncIterator[KmsKey]:
    """The key with this id, ARN or alias. Raises SettingsError without a region, and PutError without credentials."""
    connector = Connector(settings, user_agent_extra="falcowatch")
    try:
        connection = await connector.current()
        async with connection.session.create_client("kms") as client:
            yield KmsKey(client, connection.credentials, key_id, settings.timeout_seconds)
    finally:
        await connector.renew()
