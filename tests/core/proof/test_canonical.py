"""The canonical bytes of a record."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.proof.canonical import canonical, digest_of, hashed_together


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"a":1}', b'{"a":1}'),
        (b'{"a":1} \t\r\n', b'{"a":1}'),
        (b"caf\xc3\xa9", b"caf\xc3\xa9"),
        (b"caf\xe9", b"caf\xef\xbf\xbd"),
        (b"  text", b"  text"),
        (b"", b""),
    ],
)
def test_a_record_is_taken_without_whitespace_at_its_end_and_as_utf_8(payload: bytes, expected: bytes) -> None:
    assert canonical(payload) == expected


def test_a_long_record_is_represented_by_its_digest() -> None:
    assert canonical(b"x" * 65_536) == b"x" * 65_536
    long = b"x" * 65_537
    assert canonical(long + b" ") == b"sha256:" + sha256(long).hexdigest().encode()
    assert digest_of(long + b" ") == sha256(long).hexdigest()


def test_records_in_utf_8_are_taken_as_they_are() -> None:
    assert hashed_together(["café".encode(), "日本".encode()]) == "café\n日本\n".encode()


def test_no_records_give_no_bytes() -> None:
    assert hashed_together([]) == b""


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.text(max_size=20).map(str.encode),
            st.sampled_from([b'{"a":1}', b"", b" ", b"x" * 65_537, b"y" * 65_536]),
        )
    )
)
def test_many_records_give_the_same_bytes_together_as_one_by_one(payloads: list[bytes]) -> None:
    assert hashed_together(payloads) == b"".join(canonical(payload) + b"\n" for payload in payloads)
