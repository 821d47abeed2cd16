"""User and password of a URL are masked in every text that is printed."""

from __future__ import annotations

import pytest

from agent.core.redact import without_passwords


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("nothing to mask", "nothing to mask"),
        ("an address: me@example.com", "an address: me@example.com"),
        ("http://user:pw@host/path", "http://•••@host/path"),
        ("http://user:p@w@host and https://a:b@c", "http://•••@host and https://•••@c"),
        ("proxy=user:pw@host:3128", "proxy=•••@host:3128"),
    ],
)
def test_only_user_and_password_are_masked(text, masked):
    assert without_passwords(text) == masked
