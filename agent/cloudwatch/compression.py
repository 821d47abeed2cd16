"""Decides whether the bodies of puts are compressed, from the endpoint's answers to compressed bodies. Pure.

AWS accepts gzip, but a local emulator or a proxy that inspects requests may not. Such an endpoint answers that it
cannot read the body, that the signature of the body is wrong, or that it has failed.
"""

from __future__ import annotations

from typing import Final

from agent.errors import Denied, Invalid, PutError, Unavailable, Unread

FAILURES_BEFORE_DOUBT: Final = 3
"""This many failed puts in a row, before any compressed put was accepted, may be due to the compression."""


class Compression:
    """Begins as the setting says. Once a plain body was accepted in place of a refused one, it stays off."""

    def __init__(self, *, wanted: bool) -> None:
        self.is_on = wanted
        self._was_accepted = False
        self._failures = 0

    def accepted(self) -> None:
        """The endpoint accepted a compressed body, so only an answer about the body itself is a refusal from now on."""
        self._was_accepted = True

    def may_be_why(self, error: PutError) -> bool:
        """Whether the endpoint may have refused the body because it is compressed: the plain body is worth a try."""
        if isinstance(error, Invalid | Unread):
            return True
        if self._was_accepted:
            return False
        if isinstance(error, Denied):
            # The endpoint has checked the signature against the bytes that it or a proxy had decompressed.
            return error.reason == "signature"
        if isinstance(error, Unavailable) and error.reason == "unavailable":
            self._failures += 1
            return self._failures > FAILURES_BEFORE_DOUBT
        return False

    def switch_off(self) -> bool:
        """The plain body was accepted. Returns whether the compression was still on: parallel puts log it once."""
        was_on, self.is_on = self.is_on, False
        return was_on
