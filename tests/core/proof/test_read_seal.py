"""A seal is read out of a heartbeat, or a sentence says why not. The message is input from outside."""

from hashlib import sha256

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.proof.read_seal import KeyChain, NoSeal, Seal, digest_of_seal, in_flight, read_seal, secret_of
from agent.core.proof.seal import (
    Chain,
    FileStatement,
    first_key,
    mac_of,
    next_key,
    seal_body,
    seal_id,
    with_mac,
    without_mac,
)
from agent.core.proof.segment import Statement

CHAIN = Chain("0123456789abcdef", begins="first start")
STATED = FileStatement(Statement("f", 10, 90, 4, {"rule": 1}, (30,), "ab" * 32), [(90, 95, "deleted")]).encoded()


def body(*files: bytes, chain: Chain = CHAIN) -> bytes:
    return seal_body(chain, files, started_ms=5, settings="abc")


def heartbeat(seal: bytes) -> bytes:
    return b'{"rule":"Falcowatch: heartbeat","seal":%b}' % seal


def with_value(**fields: object) -> bytes:
    """A heartbeat whose seal has other values."""
    return heartbeat(orjson.dumps(orjson.loads(body(STATED)) | fields))


def file_with(**fields: object) -> bytes:
    return with_value(files=[orjson.loads(STATED) | fields])


def test_a_seal_is_read_as_the_agent_wrote_it() -> None:
    seal = read_seal(heartbeat(body(STATED)), seal_id(CHAIN))

    assert isinstance(seal, Seal)
    assert (seal.id, seal.number, seal.begins, seal.started, seal.leaving) == (
        seal_id(CHAIN), 1, "first start", 5, False,
    )  # fmt: skip
    (file,) = seal.files
    assert (file.file, file.start, file.end, file.shipped, file.filtered) == ("f", 10, 90, 4, {"rule": 1})
    assert (file.rejected, file.gaps, file.sha256, file.since) == (["f:30"], [(90, 95, "deleted")], "ab" * 32, None)


@pytest.mark.parametrize(
    ("message", "event_id", "why"),
    [
        (b"not JSON", seal_id(CHAIN), "its message cannot be read"),
        (b"\xff\xfe", seal_id(CHAIN), "its message cannot be read"),
        (b'{"a":' * 100_000, seal_id(CHAIN), "its message cannot be read"),
        (b'{"rule":"Falcowatch: heartbeat"}', seal_id(CHAIN), "it has the id of a seal, and no seal"),
        (b'{"rule":"Falcowatch: heartbeat"}', "self:1:2", ""),
        (heartbeat(b"[]"), seal_id(CHAIN), "its seal cannot be read: "),
        (with_value(number=0), seal_id(CHAIN), "its seal cannot be read: "),
        (with_value(number=10_000_001), seal_id(CHAIN), "its seal cannot be read: "),
        (with_value(chain="C0FFEE"), seal_id(CHAIN), "its seal cannot be read: "),
        (with_value(previous="ab"), seal_id(CHAIN), "its seal cannot be read: "),
        (with_value(settings="x" * 257), seal_id(CHAIN), "its seal cannot be read: "),
        (file_with(to=2**63), seal_id(CHAIN), "its seal cannot be read: "),
        (file_with(sha256="AB" * 32), seal_id(CHAIN), "its seal cannot be read: "),
        (with_value(version=2), seal_id(CHAIN), "its seal has version 2, and this program knows version 1"),
        (with_value(number=7), seal_id(CHAIN), "its seal belongs to the event self:seal:0123456789abcdef:7"),
        (file_with(to=9), seal_id(CHAIN), "its seal states a range that ends before it begins"),
    ],
    ids=range(16),
)
def test_a_message_without_a_seal_that_can_be_checked_says_why(message: bytes, event_id: str, why: str) -> None:
    found = read_seal(message, event_id)

    assert isinstance(found, NoSeal)
    assert found.startswith(why)
    assert bool(found) == bool(why)
    assert len(found) < 300


@given(st.binary(max_size=200))
def test_no_message_raises(text: bytes) -> None:
    for message in (text, heartbeat(text), heartbeat(body(text))):
        assert isinstance(read_seal(message, seal_id(CHAIN)), Seal | NoSeal)
        assert in_flight(message) == 0


@pytest.mark.parametrize(
    ("message", "records"),
    [
        (b'{"output_fields":{"books.in_flight":12}}', 12),
        (b'{"output_fields":{"books.in_flight":null}}', 0),
        (b'{"output_fields":{}}', 0),
        (b"{}", 0),
        (b'{"output_fields":[]}', 0),
        (b"not JSON", 0),
    ],
)
def test_the_records_in_flight_are_read_from_a_heartbeat(message: bytes, records: int) -> None:
    assert in_flight(message) == records


def test_the_digest_of_a_seal_is_what_the_next_one_names() -> None:
    message = heartbeat(body(STATED))

    following = read_seal(heartbeat(body(chain=CHAIN.after(message))), "self:seal:0123456789abcdef:2")

    assert isinstance(following, Seal)
    assert following.previous == digest_of_seal(message) == sha256(message).hexdigest()


def test_the_codes_of_a_chain_hold_under_its_key_alone() -> None:
    secret = secret_of(b"a secret\n")
    assert secret == secret_of(b"a secret") == b"a secret"
    keys = {1: first_key(secret, CHAIN.id)}
    keys[2] = next_key(keys[1])
    keys[3] = next_key(keys[2])
    sealed = {}
    for number, key in keys.items():
        plain = heartbeat(body(STATED))
        sealed[number] = (heartbeat(with_mac(body(STATED), mac_of(plain, key))), mac_of(plain, key))
        assert without_mac(sealed[number][0]) == plain

    chain = KeyChain(secret, CHAIN.id)
    assert chain.holds(1, *sealed[1])
    assert chain.holds(3, *sealed[3])  # the second seal is missing

    other = KeyChain(secret, CHAIN.id)
    assert not other.holds(2, *sealed[1])
    assert not other.holds(2, sealed[2][0].replace(b'"shipped":4', b'"shipped":3'), sealed[2][1])
    assert not other.holds(2, sealed[2][0], "\ud800")
    assert not KeyChain(b"another secret", CHAIN.id).holds(1, *sealed[1])
