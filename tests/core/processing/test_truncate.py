"""An event that is too big becomes a smaller JSON event that says so."""

from hashlib import sha256

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.processing.truncate import truncate


def test_the_fattest_fields_are_shortened_and_the_rest_survives() -> None:
    alert = {
        "rule": "R",
        "priority": "Error",
        "output_fields": {"proc.cmdline": "x" * 5000, "n": 1.5, "list": ["y" * 5000] * 3},
    }
    payload = orjson.dumps(alert)

    small, digest = truncate(payload, 10_000)

    event = orjson.loads(small)
    assert (event["rule"], event["output_fields"]["n"]) == ("R", 1.5)
    assert event["output_fields"]["proc.cmdline"] == "x" * 1024 + "…"
    assert event["output_fields"]["list"] == ["y" * 1024 + "…"] * 3
    assert event["truncated"] == {"size": len(payload), "sha256": sha256(payload).hexdigest()}
    assert digest == sha256(payload).hexdigest()


def test_many_fields_keep_less_each() -> None:
    payload = orjson.dumps({str(number): "x" * 2000 for number in range(100)})

    small, _ = truncate(payload, 20_000)

    assert len(orjson.loads(small)) == 101
    assert len(small) <= 20_000


def test_of_an_alert_that_still_would_not_fit_the_head_is_kept() -> None:
    payload = orjson.dumps({"a": ["x"] * 60, "b" * 70: {str(number): number for number in range(2000)}})

    small, _ = truncate(payload, 2_000)

    assert orjson.loads(small)["log"] == payload[:250].decode()


def test_a_head_of_a_larger_whole_keeps_the_size_and_the_digest_of_the_whole() -> None:
    small, digest = truncate(b'{"rule":"R"', 1000, size=5_000_000, digest="d")

    assert orjson.loads(small) == {"log": '{"rule":"R"', "truncated": {"size": 5_000_000, "sha256": "d"}}
    assert digest == "d"


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff" * 4000,
        b"\x00" * 4000,
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[1]" + b" " * 9000,
        b'{"a":"\xff' + b"b" * 4000 + b'"}',
    ],
)
def test_a_record_that_is_not_an_object_is_wrapped(payload: bytes) -> None:
    small, digest = truncate(payload, 2_000)

    assert orjson.loads(small)["truncated"]["sha256"] == digest
    assert len(small) <= 2_000


@given(payload=st.binary(max_size=5000), most=st.integers(1000, 6000))
def test_it_is_always_json_and_never_too_large(payload: bytes, most: int) -> None:
    small, _ = truncate(payload, most)

    assert isinstance(orjson.loads(small), dict)
    assert len(small) <= most
