"""Checks of a setting's value beyond its type, and conversions of values as people write them.

Every error message states the expectation; `explain` adds the path, the value and its source.
"""

from __future__ import annotations

import re
import types
import typing
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from agent.core.pod_metadata import problem_of, problem_of_fields
from agent.core.priorities import PRIORITIES

RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip
"""PutRetentionPolicy reference, read 2026-11."""

TEMPLATE_FIELDS = frozenset({"cluster", "node", "namespace"})
ALLOWED_FIELDS = "{cluster}, {node}, {namespace}"
ROLE_ARN = r"^arn:[^:]+:iam::\d{12}:role/.+$"
NOT_IN_GROUPS = re.compile(r"[^.\-_/#A-Za-z0-9]")
"""CreateLogGroup reference, read 2026-11."""
NOT_IN_STREAMS = re.compile(r"[:*]")
"""CreateLogStream reference, read 2026-11."""


def check_characters(value: Any) -> Any:
    """Raises ValueError for text with line breaks or control characters, also inside a list or a map."""
    if isinstance(value, str) and not all(char.isprintable() or char == "\t" for char in value):
        raise ValueError("must not contain line breaks, control characters or bytes that are not UTF-8")
    if isinstance(value, dict):
        check_characters([*value, *value.values()])
    elif isinstance(value, list):
        for each in value:
            check_characters(each)
    return value


def as_written(annotation: Any, value: Any) -> Any:
    """The value that a person meant where YAML or the environment variable cannot express it directly."""
    if value == "" and is_nullable(annotation):
        return None
    if isinstance(value, bool) and "off" in typing.get_args(annotation):
        # YAML 1.1 reads an unquoted `off` as false.
        return "on" if value else "off"
    if isinstance(value, bool) and _is_number(annotation):
        # Otherwise pydantic would read `retention_days: yes` as 1.
        return str(value).lower()
    return value


def is_nullable(annotation: Any) -> bool:
    return type(None) in typing.get_args(annotation)


def is_container(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (list, dict)


def names_problems(
    *, group_template: str, stream_template: str, cluster_name: str | None, node_name: str | None
) -> list[str]:
    """Why a template, filled in with the node and cluster name, is not a name that CloudWatch accepts.

    A name is None when the setting itself has an error, which is reported separately.
    """
    problems = []
    for key, template, forbidden, rule in (
        ("cloudwatch.log_group", group_template, NOT_IN_GROUPS, "may contain only letters, digits and . - _ / #"),
        ("cloudwatch.log_stream", stream_template, NOT_IN_STREAMS, "must not contain : or *"),
    ):
        if "{cluster}" in template and cluster_name == "":
            problems.append(
                f"{key} = {template!r} contains {{cluster}}, but cluster_name is empty; set FALCOWATCH_CLUSTER_NAME"
            )
        for field, name in (("cluster", cluster_name), ("node", node_name)):
            if f"{{{field}}}" in template and name and forbidden.search(name):
                problems.append(
                    f"{field}_name = {name!r} cannot be used in {key} = {template!r}, which {rule}; "
                    f"change the name or the template"
                )
    return problems


def _is_number(annotation: Any) -> bool:
    if annotation in (int, float):
        return True
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) in (typing.Union, Annotated):
        return any(_is_number(part) for part in typing.get_args(annotation))
    return False


def _template(value: str) -> str:
    """A template over the agent's own names. The text of an alert must never choose a group or a stream."""
    try:
        parts = list(Formatter().parse(value))
    except ValueError as error:
        raise ValueError(f"is not a valid template ({error}); allowed fields are {ALLOWED_FIELDS}") from error
    for _, name, form, conversion in parts:
        if name is not None and name not in TEMPLATE_FIELDS:
            raise ValueError(f"contains the unknown field {name!r}; allowed fields are {ALLOWED_FIELDS}")
        if form or conversion:
            raise ValueError(f"must not format its fields; write them as {ALLOWED_FIELDS}")
    return value


def _group_template(value: str) -> str:
    literal = "".join(text for text, *_ in Formatter().parse(_template(value)))
    if NOT_IN_GROUPS.search(literal):
        raise ValueError("may contain only letters, digits and . - _ / #")
    if literal.startswith("aws/"):
        raise ValueError("must not start with aws/")
    return value


def _stream_template(value: str) -> str:
    if NOT_IN_STREAMS.search(_template(value)):
        raise ValueError("must not contain : or *")
    return value


def _priority(value: str) -> str:
    known = {"info": "informational"}.get(value.lower(), value.lower())
    if known not in PRIORITIES:
        raise ValueError(f"is not a priority; use one of {', '.join(PRIORITIES)}")
    return known


def _retention(value: int | None) -> int | None:
    if value is not None and value not in RETENTION_DAYS:
        raise ValueError(f"is not a retention of CloudWatch; use one of {', '.join(map(str, RETENTION_DAYS))}")
    return value


def _endpoint(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", value):
        raise ValueError("is not a URL; use http://host:port or https://host")
    return value


def _role(value: str | None) -> str | None:
    if value is not None and not re.search(ROLE_ARN, value):
        raise ValueError("is not the ARN of a role; use arn:aws:iam::<account>:role/<name>")
    return value


def _not_empty(value: Any) -> Any:
    # Path("") is the current directory.
    if value == "":
        raise ValueError("must be a path")
    return value


def _label_globs(value: list[str]) -> list[str]:
    if problem := problem_of(value):
        raise ValueError(problem)
    return value


def _field_globs(value: list[str]) -> list[str]:
    if problem := problem_of_fields(value):
        raise ValueError(problem)
    return value


def _absolute(value: Path) -> Path:
    if not value.is_absolute():
        raise ValueError("must be an absolute path")
    return value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


Priority = Annotated[str, AfterValidator(_priority)]
GroupTemplate = Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_group_template)]
StreamTemplate = Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_stream_template)]
RetentionDays = Annotated[int, AfterValidator(_retention)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
RoleArn = Annotated[str, Field(json_schema_extra={"pattern": ROLE_ARN}), AfterValidator(_role)]
SomePath = Annotated[Path, BeforeValidator(_not_empty)]
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)]
LabelGlobs = Annotated[list[str], AfterValidator(_label_globs)]
FieldGlobs = Annotated[list[str], AfterValidator(_field_globs)]
