"""The seal: the part of a heartbeat that states what was shipped, and the chain that seals form.

Each seal names the digest of the seal before it, so none can be removed or changed without a trace. With a key, each
seal also carries a code (HMAC-SHA256) that only the holder of the key can compute. The key moves on by a one-way hash
with each seal, and the agent keeps only the new key. So an attacker who takes over a node cannot rewrite its past
seals. docs/proof.md defines the format.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import orjson

from agent.core.proof.segment import Statement

FORMAT_VERSION: Final = 1

LARGEST_FILES_BYTES: Final = 200 * 1024
"""The limit of all statements in one seal. The others follow in the next seal. CloudWatch takes events of 1 MiB."""

HEAD_BITS: Final = 48
"""Bits of a seal's digest that Prometheus keeps: a double holds them exactly."""

_MAC: Final = re.compile(rb',"mac":"[A-Za-z0-9+/=:_-]*"')

Range = tuple[int, int, str]
"""A gap: the offsets of its start and its end, and the reason."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The chain of seals of one node up to its last seal. The checkpoint holds it."""

    id: str
    number: int = 0
    """The number of the last seal; 0: there was none."""
    previous: str = ""
    """The SHA-256 of the last seal's message, in hexadecimal digits."""
    begins: str = ""
    """Why the chain began."""
    key: str = ""
    """The key of the next seal, in hexadecimal digits. Empty: seals carry no code."""

    def after(self, message: bytes) -> Chain:
        """The chain when this message is its last seal."""
        key = next_key(bytes.fromhex(self.key)).hex() if self.key else ""
        return Chain(self.id, self.number + 1, sha256(message).hexdigest(), self.begins, key)


@dataclass(frozen=True, slots=True)
class FileStatement:
    """A statement and the gaps of its file that were announced since the last seal."""

    statement: Statement
    gaps: Sequence[Range] = ()

    def encoded(self) -> bytes:
        one = self.statement
        return orjson.dumps(
            {
                "file": one.file,
                "from": one.start,
                "to": one.end,
                "shipped": one.shipped,
                "filtered": dict(one.filtered),
                "rejected": [f"{one.file}:{offset}" for offset in one.rejected],
                "gaps": self.gaps,
                "sha256": one.sha256,
            }
            | ({"since": one.since} if one.since else {})
        )


def stated_in(statement: bytes, number: int) -> bytes:
    """The encoded statement as the seal of this number has it."""
    return statement if b',"since":' in statement else b'%b,"since":%d}' % (statement[:-1], number)


@dataclass(frozen=True, slots=True)
class SealState:
    """The chain, and the statements that the next run of the agent has to seal. It is in the checkpoint."""

    chain: Chain
    files: tuple[bytes, ...] = ()
    """Encoded statements that no seal on disk has stated."""
    unshipped: Mapping[str, tuple[Sequence[int], Sequence[int]]] = field(default_factory=dict)
    """By file id: offsets of records that are settled out of order without being shipped: rejected, filtered."""

    def encoded(self) -> bytes:
        return orjson.dumps(
            {
                "chain": self.chain,
                "files": [orjson.Fragment(statement) for statement in self.files],
                "unshipped": dict(self.unshipped),
            }
        )

    @classmethod
    def decoded(cls, value: Any) -> SealState:
        """From the decoded JSON of a checkpoint. Raises KeyError, TypeError, ValueError."""
        unshipped = {file: (tuple(pair[0]), tuple(pair[1])) for file, pair in value["unshipped"].items()}
        return cls(Chain(**value["chain"]), tuple(map(orjson.dumps, value["files"])), unshipped)


def seal_body(
    chain: Chain,
    files: Sequence[bytes],
    *,
    started_ms: int,
    settings: str,
    leaving: bool = False,
    unsealed: Sequence[str] = (),
) -> bytes:
    """The `seal` object of the next seal of the chain, without a code."""
    fields: dict[str, object] = {
        "version": FORMAT_VERSION,
        "chain": chain.id,
        "number": chain.number + 1,
        "previous": chain.previous,
    }
    if not chain.number:
        fields["begins"] = chain.begins
    fields |= {"started": started_ms, "settings": settings}
    if leaving:
        fields["leaving"] = True
    if unsealed:
        fields["unsealed"] = list(unsealed)
    return b'%b,"files":[%b]}' % (orjson.dumps(fields)[:-1], b",".join(files))


def with_mac(body: bytes, mac: str) -> bytes:
    """The `seal` object with its code. The code is the last key."""
    return b'%b,"mac":%b}' % (body[:-1], orjson.dumps(mac))


def without_mac(message: bytes) -> bytes:
    """The bytes that the code of a seal is computed over: its message without the code."""
    found = [*_MAC.finditer(message)]
    return message if not found else message[: found[-1].start()] + message[found[-1].end() :]


def first_key(secret: bytes, chain_id: str) -> bytes:
    """The key of the first seal of a chain."""
    return hmac.digest(secret, f"falcowatch seal {chain_id}".encode(), "sha256")


def next_key(key: bytes) -> bytes:
    """The key of the next seal. The way back is not computable."""
    return sha256(b"falcowatch next seal key" + key).digest()


def mac_of(message: bytes, key: bytes) -> str:
    """The code of a seal's message that has none yet."""
    return f"hmac-sha256:{hmac.digest(key, message, 'sha256').hex()}"


def head_of(digest: str) -> int:
    """The number that stands for a seal in Prometheus."""
    return int(digest[: HEAD_BITS // 4], 16) if digest else 0


def seal_id(chain: Chain) -> str:
    """The id of the event of the chain's next seal."""
    return f"self:seal:{chain.id}:{chain.number + 1}"


def settings_digest(settings: Mapping[str, object]) -> str:
    """Sixteen hexadecimal digits that change when a setting does."""
    return sha256(orjson.dumps(settings, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()[:16]
