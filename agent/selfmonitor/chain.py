"""Continues the chain of seals of the last run, or begins a new chain and says why."""

from __future__ import annotations

import secrets
from pathlib import Path

from agent.core.proof.seal import Chain, first_key
from agent.errors import SealKeyUnreadable
from agent.settings import Seal
from agent.tail.checkpoint import Restored


def chain_of(settings: Seal, restored: Restored) -> Chain:
    """The chain of the last run; a new one if that is not known for certain. Raises SealKeyUnreadable."""
    known = restored.seal.chain if restored.seal is not None else None
    if known is None:
        begins = "state lost" if restored.progress_lost else "first start" if restored.first_start else "no seal before"
    elif restored.is_older_copy:
        # The lost checkpoint may have held later seals: to go on would give their numbers away twice.
        begins = "state restored from an older copy"
    elif settings.key_file is not None and not known.key:
        begins = "key set"
    else:
        return known
    chain_id = secrets.token_hex(8)
    key = first_key(_secret(settings.key_file), chain_id).hex() if settings.key_file is not None else ""
    return Chain(chain_id, begins=begins, key=key)


def _secret(path: Path) -> bytes:
    try:
        secret = path.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise SealKeyUnreadable(
            f"seal.key_file {path}: cannot be read ({error.strerror}); a chain of seals begins, and its key comes from "
            "this file. Mount the secret, or unset seal.key_file"
        ) from error
    if not secret:
        raise SealKeyUnreadable(f"seal.key_file {path}: is empty; write a secret of 32 random bytes into it")
    return secret
