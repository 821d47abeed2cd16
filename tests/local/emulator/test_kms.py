"""Sign and Verify are accepted and refused as KMS does, over real HTTP with the AWS SDK."""

from hashlib import sha256

import pytest
from botocore.exceptions import ClientError

from agent.local.emulator import EmbeddedCloudWatch
from tests.local.emulator.conftest import connected

DIGEST = sha256(b"message").digest()
SIGN = {"KeyId": "key-1", "Message": DIGEST, "MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256"}


@pytest.fixture
async def kms(cloudwatch: EmbeddedCloudWatch):
    async with connected(cloudwatch.url, "kms") as client:
        yield client


async def test_a_signature_is_verified_with_the_same_key_alone(kms):
    signed = await kms.sign(**SIGN)

    verified = await kms.verify(**SIGN, Signature=signed["Signature"])
    with pytest.raises(ClientError) as caught:
        await kms.verify(**{**SIGN, "KeyId": "key-2"}, Signature=signed["Signature"])

    assert verified["SignatureValid"] is True
    assert signed["KeyId"] == "arn:aws:kms:eu-central-1:123456789012:key/key-1"
    assert caught.value.response["Error"]["Code"] == "KMSInvalidSignatureException"


async def test_a_raw_message_has_the_signature_of_its_digest(kms):
    raw = await kms.sign(**{**SIGN, "Message": b"message", "MessageType": "RAW"})

    assert raw["Signature"] == (await kms.sign(**SIGN))["Signature"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"Message": b"short"}, "ValidationException"),
        ({"Message": b"x" * 4097, "MessageType": "RAW"}, "ValidationException"),
        ({"SigningAlgorithm": "NO_SUCH"}, "ValidationException"),
        ({"KeyId": "a key"}, "NotFoundException"),
    ],
)
async def test_a_wrong_request_is_refused(kms, wrong: dict[str, object], code: str):
    with pytest.raises(ClientError) as caught:
        await kms.sign(**{**SIGN, **wrong})

    assert caught.value.response["Error"]["Code"] == code


async def test_other_operations_of_kms_are_unknown(kms):
    with pytest.raises(ClientError) as caught:
        await kms.list_keys()

    assert caught.value.response["Error"]["Code"] == "UnknownOperationException"
