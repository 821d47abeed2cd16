"""Reads an event of CloudWatch for a proof: which node sent it, its id, and the canonical bytes of its record.

The message is input from outside: anyone who may put events can write it. So whatever cannot be read as an event of
the agent is returned as Foreign, and no message raises an error. docs/proof.md defines the canonical bytes.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

from agent.core.proof.canonical import LONGEST_TEXT_BYTES, by_digest

MOST_OFFSET: Final = 2**63 - 1
"""No file is longer. The offset also fits into a column of SQLite."""

HEARTBEAT: Final = "Falcowatch: heartbeat"
SEAL_ID: Final = "self:seal:"

_APPENDED: Final = b',"falcowatch":{"id":"'
_POD: Final = b',"kubernetes":{'
_WRAPPED: Final = re.compile(rb'\{"log":("(?:[^"\\]++|\\.)*+"),"stream":"')
_SHORTENED: Final = re.compile(rb'[{,]"truncated":\{"size":[0-9]+,"sha256":"([0-9a-f]{64})"\}\Z')
_SHORTENED_BYTES: Final = 128
"""Longer than the note of a shortened event."""
_RECORD_ID: Final = re.compile(r"([^\":]{1,64}):([0-9]{1,19})")
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_KNOWN_PODS: Final = 4096


class RecordEvent(NamedTuple):
    """An event that was made from a record of a log file."""

    node: str
    file: str
    offset: int
    canonical: bytes


class OwnEvent(NamedTuple):
    """An event that the agent wrote itself."""

    node: str
    id: str
    is_heartbeat: bool


class Foreign(NamedTuple):
    """A message that no agent writes. `node` is the node that it names, if it names one."""

    node: str
    why: str


class _Identity(msgspec.Struct, gc=False):
    """The object `falcowatch` at the end of a message."""

    id: str
    node: str
    defect: msgspec.Raw = msgspec.Raw(b"")
    sha256: str = ""


class _Ends(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The two keys that the agent appended to an alert about a pod."""

    kubernetes: dict[str, msgspec.Raw]
    falcowatch: msgspec.Raw


class _Wrapped(msgspec.Struct, gc=False):
    log: str
    rule: msgspec.Raw = msgspec.Raw(b"")


class _Defect(msgspec.Struct, gc=False):
    log: str
    size: int


class _Rule(msgspec.Struct, gc=False):
    rule: str = ""


_identity: Final = msgspec.json.Decoder(_Identity).decode
_ends: Final = msgspec.json.Decoder(_Ends).decode
_wrapped: Final = msgspec.json.Decoder(_Wrapped).decode
_defect: Final = msgspec.json.Decoder(_Defect).decode
_rule: Final = msgspec.json.Decoder(_Rule).decode


class EventReader:
    """Reads events one after another. It remembers the pods that it has seen, because most alerts repeat one."""

    def __init__(self) -> None:
        self._pods: set[bytes] = set()

    def read(self, message: bytes) -> RecordEvent | OwnEvent | Foreign:
        cut = message.rfind(_APPENDED)
        if cut < 0 or not message.endswith(b"}}"):
            return Foreign("", "it has no id of the agent")
        try:
            identity = _identity(message[cut + 14 : -1])
        except _UNREADABLE:
            return Foreign("", "its id cannot be read")
        if identity.id.startswith(("self:", "control:")):
            # A seal is known by its id, too: somebody may have changed its rule, or made its message unreadable.
            is_heartbeat = identity.id.startswith(SEAL_ID) or _is_heartbeat(message)
            return OwnEvent(identity.node, identity.id, is_heartbeat)
        found = _RECORD_ID.fullmatch(identity.id)
        if found is None or (offset := int(found[2])) > MOST_OFFSET:
            return Foreign(identity.node, "its id has the form of no agent's id")
        try:
            written = _canonical(message[: self._end(message, cut)], identity)
        except _UNREADABLE:
            return Foreign(identity.node, "the record in it cannot be read")
        return RecordEvent(identity.node, found[1], offset, written)

    def _end(self, message: bytes, cut: int) -> int:
        """The end of the record's own bytes: `kubernetes`, if the agent appended it, or `falcowatch` follows them."""
        start = message.rfind(_POD, 0, cut)
        if start < 0:
            return cut
        pod = message[start:cut]
        if pod in self._pods:
            return start
        try:
            _ends(b"{" + message[start + 1 :])
        except _UNREADABLE:
            return cut
        if len(self._pods) >= _KNOWN_PODS:
            self._pods.clear()
        self._pods.add(pod)
        return start


def _canonical(body: bytes, identity: _Identity) -> bytes:
    """`body` is the message without the appended end, so its closing brace is missing."""
    if bytes(identity.defect):
        defect = _defect(body + b"}")
        if defect.size > LONGEST_TEXT_BYTES:
            return by_digest(identity.sha256)
        return _text(defect.log)
    shortened = _SHORTENED.search(body, max(0, len(body) - _SHORTENED_BYTES))
    if shortened is not None:
        return by_digest(shortened[1].decode())
    if body.startswith(b'{"log":"') and _WRAPPED.match(body):
        wrapped = _wrapped(body + b"}")
        # A wrapped line is not an alert, so it has no rule. An alert may look like a wrapped line otherwise.
        if not bytes(wrapped.rule):
            return _text(wrapped.log)
    return _by_length(body + b"}")


def _text(log: str) -> bytes:
    return _by_length(log.encode(errors="replace").rstrip())


def _by_length(text: bytes) -> bytes:
    return text if len(text) <= LONGEST_TEXT_BYTES else by_digest(sha256(text).hexdigest())


def _is_heartbeat(message: bytes) -> bool:
    try:
        return _rule(message).rule == HEARTBEAT
    except _UNREADABLE:
        return False
