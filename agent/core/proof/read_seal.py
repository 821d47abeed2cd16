"""Reads a seal out of a heartbeat's message, and checks its code. The message is input from outside.

`read_seal` returns the seal or a sentence that says why the message has none. It raises no error, whatever the message
is: numbers, lists and texts have bounds, and unknown keys are left out.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Annotated, Final

import msgspec

from agent.core.proof.events import MOST_OFFSET, SEAL_ID
from agent.core.proof.seal import FORMAT_VERSION, first_key, mac_of, next_key, without_mac

MOST_NUMBER: Final = 10_000_000
"""A seal every five minutes reaches this number after 95 years. It bounds the steps to the key of a seal."""

LATEST_MS: Final = 253_402_300_799_000
"""The end of the year 9999, after which a time cannot be printed."""

_Offset = Annotated[int, msgspec.Meta(ge=0, le=MOST_OFFSET)]
_Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_Short = Annotated[str, msgspec.Meta(max_length=256)]


class FileStatement(msgspec.Struct, frozen=True, gc=False):
    """The statement of a seal about one segment of a file."""

    file: _Short
    start: _Offset = msgspec.field(name="from")
    end: _Offset = msgspec.field(name="to")
    shipped: _Offset
    filtered: dict[_Short, _Offset] = {}
    rejected: list[str] = []
    gaps: list[tuple[_Offset, _Offset, str]] = []
    sha256: _Digest | None = None
    since: int | None = None
    """The number of the seal that stated this segment first. None: an agent that does not say it."""


class Seal(msgspec.Struct, frozen=True, gc=False):
    """The object `seal` of a heartbeat."""

    version: int
    chain: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
    number: Annotated[int, msgspec.Meta(ge=1, le=MOST_NUMBER)]
    previous: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")]
    started: Annotated[int, msgspec.Meta(ge=0, le=LATEST_MS)]
    settings: _Short
    files: list[FileStatement]
    begins: _Short = ""
    leaving: bool = False
    unsealed: list[str] = []
    mac: str = ""

    @property
    def id(self) -> str:
        """The id of the event that carries this seal."""
        return f"self:seal:{self.chain}:{self.number}"


class _Fields(msgspec.Struct, gc=False):
    in_flight: int | float | None = msgspec.field(name="books.in_flight", default=None)


class _Heartbeat(msgspec.Struct, gc=False):
    seal: msgspec.Raw = msgspec.Raw(b"")
    output_fields: _Fields | None = None


_heartbeat: Final = msgspec.json.Decoder(_Heartbeat).decode
_seal: Final = msgspec.json.Decoder(Seal).decode
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class NoSeal(str):
    """Why a heartbeat's message holds no seal that can be checked. Empty: it does not have one."""


def read_seal(message: bytes, event_id: str) -> Seal | NoSeal:
    """The seal of the heartbeat with this id."""
    try:
        raw = bytes(_heartbeat(message).seal)
    except _UNREADABLE:
        return NoSeal("its message cannot be read")
    if not raw:
        return NoSeal("it has the id of a seal, and no seal" if event_id.startswith(SEAL_ID) else "")
    try:
        seal = _seal(raw)
    except _UNREADABLE as error:
        return NoSeal(f"its seal cannot be read: {str(error)[:200]}")
    if seal.version != FORMAT_VERSION:
        return NoSeal(f"its seal has version {seal.version}, and this program knows version {FORMAT_VERSION}")
    if seal.id != event_id:
        return NoSeal(f"its seal belongs to the event {seal.id}")
    if any(one.start > one.end for one in seal.files):
        return NoSeal("its seal states a range that ends before it begins")
    return seal


def in_flight(message: bytes) -> float:
    """The records that the agent had read and not settled when it sent the heartbeat. 0 if the message does not say."""
    try:
        fields = _heartbeat(message).output_fields
    except _UNREADABLE:
        return 0
    return 0 if fields is None or fields.in_flight is None else fields.in_flight


def digest_of_seal(message: bytes) -> str:
    """The value of `previous` in the next seal."""
    return sha256(message).hexdigest()


class KeyChain:
    """The keys of one chain of seals, from the first key on. Asked in the order of the seals' numbers."""

    def __init__(self, secret: bytes, chain: str) -> None:
        self._key = first_key(secret, chain)
        self._number = 1

    def holds(self, number: int, message: bytes, mac: str) -> bool:
        """Whether `mac` is the code of this message under the key of the seal with this number."""
        while self._number < number:
            self._key = next_key(self._key)
            self._number += 1
        return hmac.compare_digest(mac_of(without_mac(message), self._key).encode(), mac.encode(errors="replace"))


def secret_of(key_file: bytes) -> bytes:
    """The secret in a key file: the file's bytes without a newline at their end."""
    return key_file.removesuffix(b"\n")
