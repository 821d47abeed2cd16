"""Checks the codes of seals with the first key of the chains, which `seal.key_file` holds."""

from __future__ import annotations

from agent.audit.history import HeldSeal
from agent.core.proof.read_seal import KeyChain

PREFIX = "hmac-sha256:"


class KeyFileMacs:
    """Implements Macs. Asked for the seals of one chain in the order of their numbers."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._chain = ""
        self._node_number = 0
        self._keys: KeyChain | None = None

    def holds(self, seal: HeldSeal, message: bytes) -> bool | None:
        if not seal.mac.startswith(PREFIX):
            return None
        if self._keys is None or seal.chain != self._chain or seal.number < self._node_number:
            self._keys, self._chain = KeyChain(self._secret, seal.chain), seal.chain
        self._node_number = seal.number
        return self._keys.holds(seal.number, message, seal.mac)
