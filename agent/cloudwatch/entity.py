"""The entity of `cloudwatch.entity: true`: the service and environment that CloudWatch relates our events to. Pure.

The entity is the same for every put of this agent. PutReply says whether CloudWatch accepted it.
"""

from __future__ import annotations

from collections.abc import Mapping

SERVICE_NAME = "falco"
MAX_VALUE = 512
"""Longer values make the whole put invalid (PutLogEvents reference, read 2026-11)."""


def cluster_entity(*, cluster_name: str, node_name: str, namespace: str) -> Mapping[str, object]:
    """Falco as a service of an EKS cluster, or of this host when the cluster has no name.

    Names as Application Signals writes them (`eks:<cluster>/<namespace>`; API reference of its attribute maps, read
    2026-11), so that the console's "explore related" finds the workloads beside the alerts.
    """
    if not cluster_name:
        return _entity("generic:default", {"PlatformType": "Generic", "Host": node_name})
    return _entity(
        f"eks:{cluster_name}/{namespace}",
        {
            "PlatformType": "AWS::EKS",
            "EKS.Cluster": cluster_name,
            "K8s.Namespace": namespace,
            "K8s.Workload": SERVICE_NAME,
            "K8s.Node": node_name,
        },
    )


def _entity(environment: str, attributes: Mapping[str, str]) -> Mapping[str, object]:
    return {
        "keyAttributes": {"Type": "Service", "Name": SERVICE_NAME, "Environment": environment[:MAX_VALUE]},
        "attributes": {name: value[:MAX_VALUE] for name, value in attributes.items() if value},
    }
