"""The settings of the proof of completeness."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from agent.settings.checks import SomePath
from agent.settings.section import Section

KmsAlgorithm = Literal["ECDSA_SHA_256", "RSASSA_PSS_SHA_256", "RSASSA_PKCS1_V1_5_SHA_256"]
"""Those that sign a SHA-256 digest (KMS reference of Sign, read 2026-11)."""


class Seal(Section):
    """Proof of completeness: each heartbeat states what was shipped, so that an audit needs CloudWatch alone."""

    enabled: bool = Field(True, description="Make each heartbeat a seal. Seals need `heartbeat_seconds` above 0.")
    key_file: SomePath | None = Field(
        None,
        description="File with a secret. Each seal then carries a code that only a holder of the secret can compute. "
        "The file is read when a chain of seals begins and never after that.",
    )
    kms_key_id: str | None = Field(
        None,
        max_length=2048,
        description="KMS key that signs each seal (needs kms:Sign). Use it or `key_file`, not both.",
    )
    kms_algorithm: KmsAlgorithm = Field("ECDSA_SHA_256", description="Signing algorithm of the KMS key.")

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.key_file is not None and self.kms_key_id is not None:
            raise PydanticCustomError(
                "two_keys", "key_file and kms_key_id are both set; keep the one that the auditor will verify with"
            )
        return self
