"""Reads the YAML file and the environment, and records the source of each value.

One pass finds every error: unknown keys, values of the wrong type, invalid JSON. Each is reported with its path, value,
source and expectation. The defaults are in `model`.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
from msgspec import Struct
from pydantic import BaseModel, ValidationError

from agent.errors import SettingsError
from agent.settings.checks import is_container
from agent.settings.explain import explain, section_at, shown, unknown_variable
from agent.settings.model import Settings
from agent.settings.yaml_file import read_yaml

PREFIX = "FALCOWATCH_"
CONFIG_VARIABLE = "FALCOWATCH_CONFIG"
_SERVICE_LINK = re.compile(
    rf"{PREFIX}(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_[A-Z]+)?)"
)
_SERVICE_URL = re.compile(rf"{PREFIX}(?:[A-Z0-9_]+_)?PORT")
DEFAULT_CONFIG = Path("/etc/falcowatch/config.yaml")


class Loaded(Struct, frozen=True):
    """Checked settings, and the source (file or variable) of each dotted path that was set."""

    settings: Settings
    sources: Mapping[str, str]
    config_path: Path | None

    def rows(self) -> Iterator[tuple[str, Any, str]]:
        """Each setting as (dotted path, value as it took effect, source), in the model's order."""
        yield from _rows(self.settings, "", self.sources)


def load_settings(environ: Mapping[str, str], config: Path | None = None) -> Loaded:
    """The configuration as it takes effect: an environment variable wins over the YAML file.

    `config` (from the command line) wins over FALCOWATCH_CONFIG. The default path is used only when the file exists.
    Raises SettingsError with every error at once.
    """
    path = config or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    if path is None and DEFAULT_CONFIG.exists():
        path = DEFAULT_CONFIG
    problems: list[str] = []
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    if path is not None:
        values = read_yaml(path, problems, remedy=f"pass another file with --config or {CONFIG_VARIABLE}")
        sources.update((dotted, str(path)) for dotted in _leaves(values))
    _overlay_environment(environ, values, sources, problems)
    settings = None
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        for detail in error.errors():
            problems += explain(Settings, detail, sources)
    if settings is None or problems:
        raise SettingsError(problems)
    return Loaded(settings, sources, path)


def _overlay_environment(
    environ: Mapping[str, str], values: dict[str, Any], sources: dict[str, str], problems: list[str]
) -> None:
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name == CONFIG_VARIABLE:
            continue
        keys = name.removeprefix(PREFIX).lower().split("__")
        annotation = _annotation(keys)
        if annotation is None:
            if not _is_service_link(name, environ[name]):
                problems.append(unknown_variable(Settings, PREFIX, name))
            continue
        value: Any = environ[name]
        if is_container(annotation):
            try:
                value = orjson.loads(value)
            except orjson.JSONDecodeError:
                example = '{"key": "value"}' if typing.get_origin(annotation) is dict else '["a", "b"]'
                problems.append(f"{name} = {shown(value)}: must be JSON, such as {example}")
                continue
        _put(values, keys, value)
        sources[".".join(keys)] = name


def _put(values: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = values.get(key)
        if inner is None:
            inner = values[key] = {}
        if not isinstance(inner, dict):
            # The file has another type of value in place of a section; the model reports it.
            return
        values = inner
    values[keys[-1]] = value


def _is_service_link(name: str, value: str) -> bool:
    """Whether kubelet set this variable for a Service of the namespace, such as `FALCOWATCH_METRICS_SERVICE_HOST`."""
    if _SERVICE_LINK.fullmatch(name):
        return True
    # FALCOWATCH_PORT could also be a misspelt setting, so the value decides.
    return _SERVICE_URL.fullmatch(name) is not None and "://" in value


def _annotation(keys: list[str]) -> Any:
    """The type of the setting at this path; None when the path is unknown or a section."""
    section = section_at(Settings, keys[:-1])
    if section is None or keys[-1] not in section.model_fields or section_at(section, keys[-1:]):
        return None
    return section.model_fields[keys[-1]].annotation


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict) and not prefix:
            yield from _leaves(value, f"{key}.")
        else:
            yield f"{prefix}{key}"


def _rows(model: BaseModel, prefix: str, sources: Mapping[str, str]) -> Iterator[tuple[str, Any, str]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        dotted = f"{prefix}{name}"
        if isinstance(value, BaseModel):
            yield from _rows(value, f"{dotted}.", sources)
        else:
            yield dotted, value, sources.get(dotted, "default")
