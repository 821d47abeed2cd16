"""Fills the templates of log group and log stream for one lane and one namespace."""

from __future__ import annotations

from typing import Final

from agent.core.values import Destination, Lane
from agent.settings.model import Settings

WITHOUT_NAMESPACE: Final = "falcowatch"
"""Fills `{namespace}` where there is no namespace: in the agent's own events and in the files of `tail.paths`, while
`tail.namespace` is a glob. An empty name would make group and stream names that CloudWatch refuses for ever."""

_STREAM_SUFFIX: Final = {Lane.ROUTINE: "", Lane.URGENT: "/urgent", Lane.OTHER: "/falco-log"}


def destination(settings: Settings, lane: Lane, namespace: str = "") -> Destination:
    """Without a namespace, the one of `tail.namespace`."""
    values = {
        "cluster": settings.cluster_name,
        "node": settings.node_name,
        "namespace": namespace or own_namespace(settings),
    }
    stream = settings.cloudwatch.log_stream.format(**values) + _STREAM_SUFFIX[lane]
    return Destination(settings.log_group_template.format(**values), stream)


def own_namespace(settings: Settings) -> str:
    """The namespace of Falco when the configuration names a single one."""
    namespace = settings.tail.namespace
    return WITHOUT_NAMESPACE if set(namespace) & set("*?[") else namespace
