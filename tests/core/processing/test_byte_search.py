"""The search of the C library has the same result as Python's."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.processing import byte_search
from agent.core.processing.byte_search import contains

letters = st.binary(max_size=40).map(lambda data: bytes(byte % 3 for byte in data))


@settings(deadline=None)
@given(letters, letters, letters)
def test_a_needle_is_found_exactly_where_there_is_one(before, needle, after):
    assert contains(before + needle + after, needle)
    assert contains(before + after, needle) == (needle in before + after)


@pytest.mark.parametrize("needle", [b"", b"\0b", b"c"])
def test_neither_a_nul_nor_the_end_stops_the_search(needle):
    assert contains(b"a\0b\0c", needle)


def test_without_memmem_python_s_search_is_used():
    assert byte_search._python_contains(b"abc", b"bc")
    assert not byte_search._python_contains(b"abc", b"cb")


def test_a_c_library_without_memmem_is_noticed(monkeypatch):
    class Library:
        def __init__(self, name):
            pass

    monkeypatch.setattr("ctypes.CDLL", Library)

    assert byte_search._memmem() is None
