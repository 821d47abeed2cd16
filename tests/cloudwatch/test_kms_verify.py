"""Signatures of seals are verified by KMS, over real HTTP."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.cloudwatch.kms_verify import VerifyingKey, open_key
from agent.errors import Denied, Refused, Throttled, Unavailable
from agent.local.emulator import EmbeddedCloudWatch, Fault
from agent.settings.model import CloudWatch
from tests.audit.history import kms_code

LONG = b"a message that is longer than the 4,096 bytes that KMS takes" * 100


def signature_of(message: bytes, algorithm: str = "ECDSA_SHA_256") -> bytes:
    return base64.b64decode(kms_code("alias/seals", message, algorithm).rpartition(":")[2])


@pytest.fixture
async def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EmbeddedCloudWatch]:
    async with EmbeddedCloudWatch(tmp_path / "cloudwatch") as cloudwatch:
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", cloudwatch.url)
        yield cloudwatch


@pytest.fixture
async def key(endpoint: EmbeddedCloudWatch) -> AsyncIterator[VerifyingKey]:
    async with open_key(CloudWatch(), "alias/seals") as opened:
        yield opened


@pytest.mark.parametrize("algorithm", ["ECDSA_SHA_256", "RSASSA_PSS_SHA_256"])
async def test_a_signature_is_verified(key: VerifyingKey, algorithm: str):
    assert await key.verify(LONG, signature_of(LONG, algorithm), algorithm)


async def test_another_message_signature_or_algorithm_is_not_verified(key: VerifyingKey):
    signature = signature_of(LONG)

    assert not await key.verify(LONG + b".", signature, "ECDSA_SHA_256")
    assert not await key.verify(LONG, b"another signature", "ECDSA_SHA_256")
    assert not await key.verify(LONG, signature, "RSASSA_PSS_SHA_256")
    assert not await key.verify(LONG, signature, "an invented algorithm")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("throttle"), Throttled),
        (Fault("denied"), Denied),
        (Fault("error", status=500, code="KMSInternalException"), Unavailable),
        (Fault("error", status=400, code="DisabledException"), Refused),
        (Fault("reset"), Unavailable),
    ],
)
async def test_an_error_says_what_to_do_next(
    key: VerifyingKey, endpoint: EmbeddedCloudWatch, fault: Fault, error: type[Exception]
):
    endpoint.faults.add(fault)

    with pytest.raises(error, match="KMS key alias/seals"):
        await key.verify(LONG, b"signature", "ECDSA_SHA_256")


async def test_a_key_that_does_not_exist_is_named(endpoint: EmbeddedCloudWatch):
    async with open_key(CloudWatch(), "no such key!") as key:
        with pytest.raises(Refused, match=r"no such key!.*SIGN_VERIFY"):
            await key.verify(LONG, b"signature", "ECDSA_SHA_256")
