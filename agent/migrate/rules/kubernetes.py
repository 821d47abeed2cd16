"""Rules for the options of `[FILTER] Name kubernetes`."""

from __future__ import annotations

from typing import Final

from agent.migrate.document import Option, Section
from agent.migrate.rules.outcome import Outcome, Rules, fixed, is_on


def _labels(option: Option, _section: Section) -> Outcome:
    if is_on(option.value):
        return Outcome("No setting: enrich.labels adds all labels but those that a controller sets.")
    return Outcome("Becomes enrich.labels without a glob.", (("enrich.labels", []),))


def _annotations(option: Option, _section: Section) -> Outcome:
    if is_on(option.value):
        return Outcome("Becomes enrich.annotations with a glob for all.", (("enrich.annotations", ["*"]),))
    return Outcome("No setting: enrich.annotations is empty.")


def _kubelet(option: Option, _section: Section) -> Outcome:
    says = "No setting: the agent watches the pods of its own node at the API server, with list and watch of pods only."
    if is_on(option.value):
        says += (
            " Remove the right nodes/proxy from Fluent Bit's ClusterRole: it permits commands in every pod of a node."
        )
    return Outcome(says)


def _buffer(option: Option, _section: Section) -> Outcome:
    says = "No setting: the list of pods is read as a stream, so no pod is too large."
    if option.value.strip() == "0":
        return Outcome(says)
    return Outcome(says, lost=f"A pod whose JSON is larger than {option.value} gets no metadata.")


def _exclude(option: Option, _section: Section) -> Outcome:
    says = "No counterpart: an annotation cannot keep Falco's alerts from being shipped."
    if not is_on(option.value):
        return Outcome(says)
    return Outcome(
        says, lost='Anyone who may annotate Falco\'s pod can silence it with `fluentbit.io/exclude: "true"`.'
    )


_ALERT: Final = "No counterpart: an event is Falco's own JSON, so its fields need no merging."
_ACCESS: Final = "No setting: the agent uses the service account of its pod to reach the API server."
_CACHE: Final = (
    "No counterpart: the watch keeps the pods current; enrich.keep_deleted_seconds keeps deleted ones an hour."
)

KUBERNETES: Final = Rules(
    by_key={
        "name": fixed(
            "Becomes enrichment, which is on by default (enrich.mode is auto). The names below `kubernetes` "
            "stay those of "
            "Fluent Bit.",
            lost="The metadata is that of Falco's own pod. The pod that the alert is about gets none.",
        ),
        "labels": _labels,
        "annotations": _annotations,
        "use_kubelet": _kubelet,
        "buffer_size": _buffer,
        "k8s-logging.exclude": _exclude,
        "k8s-logging.parser": fixed("No counterpart: an annotation cannot choose a parser for Falco's log."),
        "owner_references": fixed("No setting: workload_name is added, and workload_kind with enrich.fields."),
        "namespace_labels": fixed("No counterpart: metadata of namespaces is not read, which saves a right."),
        "namespace_annotations": fixed("No counterpart: metadata of namespaces is not read, which saves a right."),
        "namespace_metadata_only": fixed("No counterpart: metadata of namespaces is not read."),
        "kube_tag_prefix": fixed("No counterpart: there are no tags. The pod is the one that the alert names."),
        "regex_parser": fixed("No counterpart: there are no tags. The pod is the one that the alert names."),
        "cache_use_docker_id": fixed(_CACHE),
        "dummy_meta": fixed("No counterpart: enrich.file reads pods from a file."),
    },
    by_prefix={
        "merge_": fixed(_ALERT),
        "keep_log": fixed(_ALERT),
        "kube_meta": fixed(_CACHE),
        "kube_": fixed(_ACCESS),
        "kubelet_": fixed(_ACCESS),
        "tls.": fixed(_ACCESS),
        "dns_": fixed(_ACCESS),
        "aws_": fixed("No counterpart: cloudwatch.entity sends the entity of the cluster."),
        "set_platform": fixed("No counterpart: cloudwatch.entity sends the entity of the cluster."),
    },
    absent={},
)
