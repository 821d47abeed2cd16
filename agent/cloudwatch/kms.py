"""Signatures of seals by a key of KMS, which never leaves AWS."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from hashlib import sha256
from typing import Final

from agent.cloudwatch.connection import Connector
from agent.cloudwatch.error_map import FOREIGN_ERRORS, put_error
from agent.settings.seal import KmsAlgorithm

KMS_SECONDS: Final = 10.0


async def sign(connector: Connector, key_id: str, algorithm: KmsAlgorithm, message: bytes) -> str:
    """`kms:<algorithm>:<signature in base64>` over the SHA-256 of the message. Raises PutError.

    KMS takes messages of at most 4,096 bytes, so the digest is sent (reference of Sign, read 2026-11).
    """
    connection = await connector.current()
    try:
        async with asyncio.timeout(KMS_SECONDS), connection.session.create_client("kms") as kms:
            answer = await kms.sign(
                KeyId=key_id, Message=sha256(message).digest(), MessageType="DIGEST", SigningAlgorithm=algorithm
            )
    except FOREIGN_ERRORS as error:
        raise put_error(error, operation="kms:Sign", target=key_id) from error
    return f"kms:{algorithm}:{b64encode(answer['Signature']).decode()}"
