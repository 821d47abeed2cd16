"""The base of every group of settings."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from agent.settings.checks import as_written, check_characters


class Section(BaseModel):
    """A group of settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _as_written(cls, values: Any) -> Any:
        if values is None:
            # The file has `tail:` with nothing or only comments below it.
            return {}
        if not isinstance(values, dict):
            return values
        fields = cls.model_fields
        return {key: as_written(fields[key].annotation, value) if key in fields else value
                for key, value in values.items()}  # fmt: skip

    @field_validator("*", mode="before")
    @classmethod
    def _characters(cls, value: Any) -> Any:
        return check_characters(value)
