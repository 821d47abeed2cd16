"""Reads the YAML file and the environment, and says where each value came from.

One pass finds every problem: unknown keys, values of the wrong type, JSON that does not parse; each
is reported with its path, its value, what was expected and its source. Nothing here has a default:
those stand in the model.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml
from pydantic import BaseModel, ValidationError

from agent.errors import SettingsError
from agent.settings.model import Settings

PREFIX = "FALCOWATCH_"
CONFIG_VARIABLE = "FALCOWATCH_CONFIG"
DEFAULT_CONFIG = Path("/etc/falcowatch/config.yaml")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Checked settings, and for each dotted path that was set, what set it."""

    settings: Settings
    sources: Mapping[str, str]
    config_path: Path | None

    def rows(self) -> Iterator[tuple[str, Any, str]]:
        """Each setting as (dotted path, value as it took effect, source), in the model's order."""
        yield from _rows(self.settings, "", self.sources)


def load_settings(environ: Mapping[str, str], config: Path | None = None) -> Loaded:
    """The configuration as it takes effect: YAML under environment.

    `config` (the command line's) wins over FALCOWATCH_CONFIG; the default path counts only when it
    exists. Raises SettingsError with every problem at once.
    """
    path = config or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    if path is None and DEFAULT_CONFIG.exists():
        path = DEFAULT_CONFIG
    problems: list[str] = []
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    if path is not None:
        values = _read_yaml(path, problems)
        sources.update((dotted, str(path)) for dotted in _leaves(values))
    _overlay_environment(environ, values, sources, problems)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(problems + [_explain(detail, sources) for detail in error.errors()]) from None
    if problems:
        raise SettingsError(problems)
    return Loaded(settings, sources, path)


def _read_yaml(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_bytes())
    except OSError as error:
        problems.append(
            f"{path}: cannot be read ({error.strerror}); name another file with --config or {CONFIG_VARIABLE}"
        )
        return {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problems.append(f"{path}: is no YAML{where} ({getattr(error, 'problem', None) or 'unreadable characters'})")
        return {}
    if document is None:
        return {}
    if not isinstance(document, dict):
        problems.append(f"{path}: holds a {type(document).__name__}; expected a mapping of settings")
        return {}
    return document


def _overlay_environment(
    environ: Mapping[str, str], values: dict[str, Any], sources: dict[str, str], problems: list[str]
) -> None:
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name == CONFIG_VARIABLE or _is_service_link(name):
            continue
        keys = name.removeprefix(PREFIX).lower().split("__")
        annotation = _annotation(keys)
        if annotation is None:
            problems.append(f"{name}: unknown setting; see `falcowatch check --help` and docs/configuration.md")
            continue
        value: Any = environ[name]
        if _is_nullable(annotation) and value == "":
            value = None
        elif _is_container(annotation):
            try:
                value = orjson.loads(value)
            except orjson.JSONDecodeError:
                problems.append(f'{name} = {value!r}: expected JSON, such as ["a", "b"]')
                continue
        target = values
        for key in keys[:-1]:
            inner = target.get(key)
            if not isinstance(inner, dict):
                inner = target[key] = {}
            target = inner
        target[keys[-1]] = value
        sources[".".join(keys)] = name


def _is_service_link(name: str) -> bool:
    """Kubernetes puts FALCOWATCH_SERVICE_HOST, FALCOWATCH_PORT_9801_TCP … into pods beside a Service of that name."""
    rest = name.removeprefix(PREFIX)
    return rest.startswith(("SERVICE_HOST", "SERVICE_PORT", "PORT_")) or rest == "PORT"


def _annotation(keys: list[str]) -> Any:
    """The type of the field at that path; None when there is no such field or it is a whole section."""
    model: Any = Settings
    for position, key in enumerate(keys):
        if not (isinstance(model, type) and issubclass(model, BaseModel)) or key not in model.model_fields:
            return None
        model = model.model_fields[key].annotation
        if position == len(keys) - 1:
            return None if isinstance(model, type) and issubclass(model, BaseModel) else model
    return None


def _is_container(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (list, dict)


def _is_nullable(annotation: Any) -> bool:
    return type(None) in typing.get_args(annotation)


def _explain(detail: Any, sources: Mapping[str, str]) -> str:
    dotted = ".".join(str(part) for part in detail["loc"])
    message = str(detail["msg"]).removeprefix("Value error, ")
    if not dotted:
        return message
    source = next(
        (sources[key] for key in sorted(sources, reverse=True) if dotted == key or dotted.startswith(key + ".")), None
    )
    origin = f" (from {source})" if source else ""
    if detail["type"] == "extra_forbidden":
        return f"{dotted}{origin}: unknown setting"
    return f"{dotted} = {detail['input']!r}{origin}: {message}"


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
