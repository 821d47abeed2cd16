"""Fills in `${NAME}` and `${NAME:-default}` in the values of options.

Three kinds stay `${NAME}`: the name of the node, whose value on the machine where the command runs would be wrong; the
name of the cluster in the name of a group or stream; and a variable without a value. `as_template` turns the first two
into fields of our templates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from agent.migrate.document import Document, Option

NODE_NAMES: Final = frozenset(
    {"HOSTNAME", "HOST_NAME", "NODE_NAME", "K8S_NODE_NAME", "MY_NODE_NAME", "NODENAME", "NODE"}
)
CLUSTER_NAMES: Final = frozenset({"CLUSTER_NAME", "CLUSTERNAME", "EKS_CLUSTER_NAME", "K8S_CLUSTER_NAME", "CLUSTER"})

_VARIABLE: Final = re.compile(r"\$\{([^}:]+)(?::-([^}]*))?\}")
_OF_CHART: Final = re.compile(r"\{\{.*?\}\}")
"""A value that Helm would fill in."""


@dataclass(frozen=True, slots=True)
class Expanded:
    """The document with its variables filled in, and what is known about them."""

    document: Document
    cluster_name: str
    """The value of the variable with the name of the cluster. Empty when there is none."""


def expanded(document: Document, environ: Mapping[str, str]) -> Expanded:
    """A variable of the file wins over one of the environment, as in Fluent Bit."""
    own = dict(document.variables)
    cluster = ""

    def fill(match: re.Match[str], keeps_cluster: bool) -> str:
        nonlocal cluster
        name, default = match[1], match[2] or ""
        if name.upper() in NODE_NAMES and name not in own:
            return f"${{{name}}}"
        value = own.get(name) or environ.get(name) or default
        if name.upper() in CLUSTER_NAMES:
            cluster = cluster or value
        if name.upper() in CLUSTER_NAMES and keeps_cluster:
            return f"${{{name}}}"
        return value or f"${{{name}}}"

    def filled(option: Option) -> Option:
        keeps_cluster = "log_group" in option.key or "log_stream" in option.key
        return replace(option, value=_VARIABLE.sub(lambda match: fill(match, keeps_cluster), option.value))

    sections = tuple(replace(each, options=tuple(map(filled, each.options))) for each in document.sections)
    return Expanded(Document(sections), cluster)


def as_template(value: str) -> str:
    """The value as a template of Falcowatch, as far as its variables are the names of the node and the cluster."""

    def field(match: re.Match[str]) -> str:
        name = match[1].upper()
        if name in NODE_NAMES:
            return "{node}"
        return "{cluster}" if name in CLUSTER_NAMES else match[0]

    return _VARIABLE.sub(field, value)


def has_unknown(value: str) -> bool:
    """Whether the value contains a variable without a value, or a value that Helm would fill in."""
    return _VARIABLE.search(value) is not None or _OF_CHART.search(value) is not None
