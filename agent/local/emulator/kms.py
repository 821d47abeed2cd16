"""The part of KMS that signs seals: Sign and Verify of one account in which every key id names a key.

A signature is a code over key, algorithm and message under a secret of this program. So only this endpoint can verify
it, as only KMS can use its keys. The limits are those of the API (references of Sign and Verify, read 2026-11).
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping

from agent.local.emulator.descriptions import ACCOUNT, Reply
from agent.local.emulator.replies import ServiceError

TARGET_PREFIX = "TrentService."
OPERATIONS = frozenset({"Sign", "Verify"})
ALGORITHMS = {"ECDSA_SHA_256": 32, "RSASSA_PSS_SHA_256": 32, "RSASSA_PKCS1_V1_5_SHA_256": 32}
"""Algorithm → bytes of its digest."""
MAX_RAW_BYTES = 4096
MAX_SIGNATURE_BYTES = 6144

_SECRET = b"the embedded KMS"
_KEY_ID = re.compile(r"[A-Za-z0-9:/_-]{1,2048}")


def answer(operation: str, body: Mapping[str, object], region: str) -> Reply:
    """The members of the reply. Raises ServiceError for a request that KMS would refuse."""
    key, algorithm = _text(body, "KeyId"), _text(body, "SigningAlgorithm")
    if not _KEY_ID.fullmatch(key):
        raise ServiceError("NotFoundException", f"Invalid keyId '{key[:100]}'")
    if algorithm not in ALGORITHMS:
        raise _invalid(f"Value '{algorithm[:100]}' at 'signingAlgorithm' failed to satisfy constraint: enum value set")
    message = _message(body, algorithm)
    signature = hmac.digest(_SECRET, f"{key}\n{algorithm}\n".encode() + message, "sha256")
    arn = key if key.startswith("arn:") else f"arn:aws:kms:{region}:{ACCOUNT}:key/{key}"
    if operation == "Sign":
        return {"KeyId": arn, "Signature": base64.b64encode(signature).decode(), "SigningAlgorithm": algorithm}
    stated = _bytes(body, "Signature", MAX_SIGNATURE_BYTES)
    if not hmac.compare_digest(stated, signature):
        raise ServiceError("KMSInvalidSignatureException", "")
    return {"KeyId": arn, "SignatureValid": True, "SigningAlgorithm": algorithm}


def _message(body: Mapping[str, object], algorithm: str) -> bytes:
    """The digest that is signed: the message's own, or that of a raw message."""
    message = _bytes(body, "Message", MAX_RAW_BYTES)
    if body.get("MessageType", "RAW") == "RAW":
        return hashlib.sha256(message).digest()
    if len(message) != ALGORITHMS[algorithm]:
        raise _invalid(f"Digest is invalid length for algorithm {algorithm}.")
    return message


def _bytes(body: Mapping[str, object], name: str, most_bytes: int) -> bytes:
    try:
        value = base64.b64decode(_text(body, name), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ServiceError("SerializationException", f"{name}: not base64") from error
    if not 1 <= len(value) <= most_bytes:
        raise _invalid(f"Value at '{name}' failed to satisfy constraint: length between 1 and {most_bytes}")
    return value


def _text(body: Mapping[str, object], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise _invalid(f"Value null at '{name}' failed to satisfy constraint: Member must not be null")
    return value


def _invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", f"1 validation error detected: {message}")
