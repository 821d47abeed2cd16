from __future__ import annotations

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.enrich.pod import Pod, Selection, decode_pod
from tests.enrich.objects import DIGEST, container_id, pod_object

ALL = Selection(["*"], ["*"])
ENTRIES = st.dictionaries(st.text(min_size=1, max_size=50), st.text(max_size=4000), max_size=12)


def decode(found: object, selection: Selection = ALL) -> Pod:
    return decode_pod(orjson.dumps(found), selection)


def test_a_pod_is_reduced_to_the_fields_for_enrichment():
    pod = decode(pod_object("web-1", uid="u1", annotations={"team": "blue"}))

    assert (pod.namespace, pod.name, pod.uid, pod.node, pod.service_account) == (
        "shop",
        "web-1",
        "u1",
        "node-1",
        "shop-web",
    )
    assert pod.workload == ("Deployment", "web")
    assert pod.annotations == {"team": "blue"}
    assert pod.created_ms == 1795417200000


def test_containers_of_all_three_kinds_are_known_with_their_ids():
    ids = {name: container_id(name) for name in ("web", "setup", "debugger", "earlier")}
    found = pod_object(
        containers={"web": ids["web"]},
        init_containers={"setup": ids["setup"]},
        ephemeral_containers={"debugger": ids["debugger"]},
        before={"web": ids["earlier"]},
    )

    web, setup, debugger = decode(found).containers

    assert (web.name, web.ids) == ("web", (ids["web"], ids["earlier"]))
    assert (setup.name, setup.ids) == ("setup", (ids["setup"],))
    assert (debugger.name, debugger.ids) == ("debugger", (ids["debugger"],))
    assert web.image_digest == f"docker.io/library/nginx@{DIGEST}"


@pytest.mark.parametrize(
    ("image_id", "digest"),
    [
        (f"docker-pullable://nginx@{DIGEST}", f"nginx@{DIGEST}"),
        (f"quay.io/a/b@{DIGEST}", f"quay.io/a/b@{DIGEST}"),
        (f"docker://{DIGEST}", ""),
        (DIGEST, ""),
        ("", ""),
    ],
)
def test_the_digest_is_empty_without_a_repository(image_id, digest):
    found = pod_object()
    found["status"]["containerStatuses"][0]["imageID"] = image_id

    assert decode(found).containers[0].image_digest == digest


def test_an_image_that_the_status_names_by_its_bare_id_keeps_the_name_of_the_spec():
    found = pod_object(image="docker.io/library/nginx:1.27")
    found["status"]["containerStatuses"][0]["image"] = DIGEST

    assert decode(found).containers[0].image == "docker.io/library/nginx:1.27"


def test_only_the_selected_labels_and_annotations_are_copied():
    found = pod_object(
        labels={"app": "web", "app.kubernetes.io/name": "web", "secret": "x"},
        annotations={"team": "blue", "last-applied": "…"},
    )

    pod = decode(found, Selection(["app*", "tier"], ["team"]))

    assert pod.labels == {"app": "web", "app.kubernetes.io/name": "web"}
    assert pod.annotations == {"team": "blue"}
    assert pod.labels_dropped == pod.annotations_dropped == 0


def test_the_workload_does_not_depend_on_which_labels_are_copied():
    assert decode(pod_object(), Selection([], [])).workload == ("Deployment", "web")


@given(ENTRIES, ENTRIES)
def test_labels_and_annotations_fit_the_bound_as_a_whole_and_the_rest_is_counted(labels, annotations):
    pod = decode(pod_object(labels=labels, annotations=annotations))

    kept = [*pod.labels.items(), *pod.annotations.items()]
    assert sum(len(name.encode()) + len(value.encode()) for name, value in kept) <= Selection(["*"], ["*"]).max_bytes
    assert pod.labels.items() <= labels.items()
    assert pod.annotations.items() <= annotations.items()
    assert len(pod.labels) + pod.labels_dropped == len(labels)
    assert len(pod.annotations) + pod.annotations_dropped == len(annotations)


def test_a_huge_annotation_does_not_displace_the_small_ones_after_it():
    pod = decode(pod_object(annotations={"huge": "x" * 9000, "team": "blue"}))

    assert pod.annotations == {"team": "blue"}
    assert pod.annotations_dropped == 1


def test_a_new_pod_has_null_and_missing_fields():
    pod = decode(
        {
            "metadata": {"name": "a", "namespace": "b", "uid": "c", "creationTimestamp": None, "labels": None},
            "spec": {"containers": [{"name": "web"}], "initContainers": None},
            "status": {"containerStatuses": None},
        }
    )

    assert [container.name for container in pod.containers] == ["web"]
    assert (pod.created_ms, pod.node, pod.labels) == (0, "", {})


def test_a_static_pod_has_the_uid_of_kubelet_too():
    pod = decode(pod_object(annotations={"kubernetes.io/config.mirror": "8a1f"}), Selection(["*"], []))

    assert pod.static_uid == "8a1f"
    assert pod.annotations == {}


@pytest.mark.parametrize("found", [{}, {"metadata": {"name": "a"}}, [], {"metadata": {"name": 1}}, "pod"])
def test_an_object_that_is_not_a_pod_is_refused(found):
    with pytest.raises(msgspec.MsgspecError):
        decode(found)


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"labels": {"app.kubernetes.io/name": "falco"}}, "label app.kubernetes.io/name=falco"),
        ({"containers": {"falco": None}}, "container falco"),
        ({"image": "public.ecr.aws/falcosecurity/falco:0.44.1"}, "image public.ecr.aws/falcosecurity/falco:0.44.1"),
        ({"init_containers": {"falco": None}}, ""),
        ({}, ""),
    ],
)
def test_a_falco_is_known_whatever_its_labels_are_selected_for(changes, because):
    pod = decode_pod(orjson.dumps(pod_object(**changes)), Selection([], []))

    assert pod.falco_because == because
    assert pod.labels == {}


@pytest.mark.parametrize(
    ("phase", "finished"), [("Running", False), ("Succeeded", True), ("Failed", True), (None, False)]
)
def test_a_pod_whose_containers_have_ended_and_a_test_of_helm_are_known(phase, finished):
    found = pod_object(annotations={"helm.sh/hook": "test"} if finished else None)
    found["status"]["phase"] = phase

    pod = decode_pod(orjson.dumps(found), Selection([], []))

    assert (pod.is_finished, pod.is_helm_test) == (finished, finished)
