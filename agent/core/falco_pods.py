"""Recognises a Falco by the names that Kubernetes and people give it, and names the setting that would read it. Pure.

With the API server, a pod is Falco by its label, its image or the name of a container. Without it, only the names of
the directories below the log root are known: the name of the pod and the names of its containers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

FALCO: Final = "falco"
"""The name of the container in every Falco chart, in the Falco Operator and in the project's own manifests."""

NAME_LABEL: Final = "app.kubernetes.io/name"

IMAGES: Final = frozenset({"falco", "falco-no-driver", "falco-debian"})
"""Last part of the names of Falco's images (falcosecurity/falco, its older variants), in any registry or mirror."""

HELPERS: Final = frozenset(
    {"falco-driver-loader", "falcoctl-artifact-install", "falcoctl-artifact-follow", "artifact-operator"}
)
"""Names of the other containers in the pods of Falco's chart and of the Falco Operator."""

HELM_HOOK: Final = "helm.sh/hook"
"""Annotation of a pod that Helm starts; `test` in its value marks a pod of `helm test`."""

_POD_NAME: Final = re.compile(r"(.+?)(?:-[bcdfghjklmnpqrstvwxz2456789]{6,10})?-[bcdfghjklmnpqrstvwxz2456789]{5}")
"""The owner's name, the hash of its ReplicaSet if it has one, and five random characters, both from an alphabet
without vowels (k8s.io/apimachinery/pkg/util/rand).
"""


class TailGlobs(NamedTuple):
    """The settings that select what is read."""

    namespace: str
    pod: str
    container: str


def owner_name(pod: str) -> str:
    """The pod's name without the suffix that Kubernetes appends for each pod."""
    match = _POD_NAME.fullmatch(pod)
    return pod if match is None else match[1]


def recognise_pod(labels: Mapping[str, str], containers: Iterable[tuple[str, str]]) -> str:
    """Why a pod is Falco, for people; empty: it is not. `containers`: name and image of each main container."""
    if labels.get(NAME_LABEL) == FALCO:
        return f"label {NAME_LABEL}={FALCO}"
    for name, image in containers:
        if name == FALCO:
            return f"container {FALCO}"
        if _image_name(image) in IMAGES:
            return f"image {image}"
    return ""


def recognise_directory(pod: str, containers: Iterable[str]) -> str:
    """Why the pod of a directory below the log root is Falco, for people; empty: it is not."""
    if FALCO in containers:
        return f"container {FALCO}"
    return f"pod name {FALCO}-*" if owner_name(pod) == FALCO and pod != FALCO else ""


def main_container(containers: Iterable[str]) -> str:
    """The container in which Falco runs, of the pod of a directory; empty: its name cannot be known yet."""
    mains = sorted(set(containers) - HELPERS)
    return FALCO if FALCO in mains else next(iter(mains), "")


def falco_container(containers: Iterable[tuple[str, str]]) -> str:
    """The container in which Falco runs, of a pod that is Falco: by its name, by its image, or the first one."""
    known = [*containers]
    named = [name for name, _ in known if name == FALCO]
    imaged = [name for name, image in known if _image_name(image) in IMAGES]
    return next(iter([*named, *imaged, *(name for name, _ in known)]), "")


def settings_to_read(globs: TailGlobs, *, namespace: str, pod: str, container: str) -> str:
    """The settings to change so that this pod is read, as `tail.namespace = default`; empty when the globs match it."""
    owner = owner_name(pod)
    wanted = (
        ("tail.namespace", globs.namespace, namespace, namespace),
        ("tail.pod", globs.pod, pod, pod if owner == pod else f"{owner}-*"),
        ("tail.container", globs.container, container, container),
    )
    return ", ".join(
        f"{setting} = {value}" for setting, glob, name, value in wanted if name and not fnmatchcase(name, glob)
    )


def is_helm_test(annotations: Mapping[str, str]) -> bool:
    """Whether the pod is one of `helm test`: it writes like a Falco, and its end is no reason for an alarm."""
    return any(hook.strip().startswith("test") for hook in annotations.get(HELM_HOOK, "").split(","))


def _image_name(image: str) -> str:
    """`registry:5000/falcosecurity/falco:0.44.1@sha256:…` → `falco`"""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]
