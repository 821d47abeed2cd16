from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.pod_metadata import FIELDS
from agent.core.values import Fragment, PodKey
from agent.enrich.fragment import alert_fragment, pod_fragment, unknown_fragment
from agent.enrich.pod import Selection, decode_pod
from tests.enrich.objects import DIGEST, container_id, pod_object

NAMES = st.none() | st.text(min_size=1, max_size=20)


def spliced(fragment: Fragment) -> dict[str, Any]:
    """The fragment inside an alert, decoded."""
    loaded: dict[str, Any] = orjson.loads(b'{"rule":"R"' + fragment.plain + b"}")
    assert loaded.pop("rule") == "R"
    return loaded


def test_a_known_pod_is_described_under_fluent_bits_names():
    pod = decode_pod(orjson.dumps(pod_object("web-1", uid="u1", annotations={"team": "blü"})), Selection(["*"], ["*"]))

    fragment = pod_fragment(pod, pod.containers[0], container_id("u1"))

    assert fragment.result == "hit"
    assert spliced(fragment) == {
        "kubernetes": {
            "namespace_name": "shop",
            "pod_name": "web-1",
            "pod_id": "u1",
            "host": "node-1",
            "container_name": "web",
            "container_image": "docker.io/library/nginx:1.27",
            "container_hash": f"docker.io/library/nginx@{DIGEST}",
            "docker_id": container_id("u1"),
            "workload_kind": "Deployment",
            "workload_name": "web",
            "service_account": "shop-web",
            "labels": {"app": "web", "pod-template-hash": "7d4b9c6f5"},
            "annotations": {"team": "blü"},
        }
    }


def test_only_the_wanted_fields_are_in_the_fragment_and_labels_stay():
    pod = decode_pod(orjson.dumps(pod_object("web-1", uid="u1", labels={"app": "web"})), Selection(["*"], []))

    fragment = pod_fragment(pod, pod.containers[0], container_id("u1"), wanted={"pod_name", "host"})

    assert spliced(fragment) == {"kubernetes": {"pod_name": "web-1", "host": "node-1", "labels": {"app": "web"}}}


def test_without_any_wanted_field_nothing_is_appended():
    pod = decode_pod(orjson.dumps(pod_object("web-1")), Selection([], []))

    assert pod_fragment(pod, None, None, wanted=frozenset()) == Fragment(b"", b"", "hit")
    assert alert_fragment(PodKey("shop", "web-1", None, None), wanted=frozenset()) == Fragment(b"", b"", "hit")


def test_an_unknown_pod_is_marked_also_when_its_only_field_is_not_wanted():
    fragment = unknown_fragment(PodKey(None, None, None, "ab" * 6), "miss", wanted={"pod_name"})

    assert spliced(fragment) == {"kubernetes": {"status": "unknown"}}


def test_the_names_of_the_fields_are_those_that_a_known_pod_can_have():
    pod = decode_pod(orjson.dumps(pod_object("web-1", uid="u1")), Selection([], []))

    fields = spliced(pod_fragment(pod, pod.containers[0], container_id("u1")))["kubernetes"]

    assert tuple(fields) == FIELDS


def test_left_out_labels_are_counted_in_the_fragment():
    found = pod_object(labels={"a": "x" * 9000, "b": "y"})
    pod = decode_pod(orjson.dumps(found), Selection(["*"], []))

    said = spliced(pod_fragment(pod, None, None))["kubernetes"]

    assert (said["labels"], said["labels_dropped"]) == ({"b": "y"}, 1)
    assert not said.keys() & {"container_name", "container_image", "container_hash", "docker_id"}


@given(
    st.dictionaries(st.text(min_size=1, max_size=200), st.text(max_size=2000), max_size=60),
    st.dictionaries(st.text(min_size=1, max_size=200), st.text(max_size=2000), max_size=10),
    st.sampled_from([512, 1024, 4096, 65_536]),
)
def test_a_fragment_is_never_larger_than_the_bound_and_counts_what_is_left_out(labels, annotations, max_bytes):
    found = pod_object(labels=labels, annotations=annotations)
    pod = decode_pod(orjson.dumps(found), Selection(["*"], ["*"], max_bytes))

    fragment = pod_fragment(pod, pod.containers[0], None, max_bytes)

    assert len(fragment.plain) <= max_bytes
    fields = spliced(fragment)["kubernetes"]
    assert len(fields.get("labels", {})) + fields.get("labels_dropped", 0) == len(labels)
    assert len(fields.get("annotations", {})) + fields.get("annotations_dropped", 0) == len(annotations)
    assert fields["pod_name"] == pod.name
    for name in fields.get("dropped", ()):
        kind, _, key = name.partition(".")
        assert not key or key in {"labels": labels, "annotations": annotations}[kind]


def test_left_out_labels_are_named_in_the_fragment():
    pod = decode_pod(orjson.dumps(pod_object(labels={"a": "x" * 9000, "b": "y"})), Selection(["*"], []))

    assert spliced(pod_fragment(pod, None, None))["kubernetes"]["dropped"] == ["labels.a"]


def test_an_unknown_pod_with_names_of_a_megabyte_is_a_small_fragment():
    fragment = unknown_fragment(PodKey("n" * 1_000_000, "web-1", "u" * 1_000_000, None), "miss")

    assert len(fragment.plain) < 4096
    fields = spliced(fragment)["kubernetes"]
    assert (fields["status"], fields["pod_name"]) == ("unknown", "web-1")
    assert fields["dropped"] == ["namespace_name", "pod_id"]


@given(NAMES, NAMES, NAMES, NAMES)
def test_an_unknown_pod_is_described_by_the_fields_of_the_alert_and_marked(namespace, name, uid, identity):
    fragment = unknown_fragment(PodKey(namespace, name, uid, identity), "late")

    said = {"namespace_name": namespace, "pod_name": name, "pod_id": uid, "docker_id": identity}
    said = {key: value for key, value in said.items() if value}
    assert fragment.result == "late"
    assert spliced(fragment) == ({"kubernetes": {"status": "unknown", **said}} if said else {})


@given(st.text(min_size=1), st.text())
def test_the_escaped_bytes_are_the_same_fragment_inside_a_json_string(name, label):
    pod = decode_pod(orjson.dumps(pod_object(name, labels={"l": label})), Selection(["*"], []))
    fragment = pod_fragment(pod, None, None)

    assert orjson.loads(b'"' + fragment.escaped + b'"').encode() == fragment.plain


@pytest.mark.parametrize(
    ("key", "result", "plain"),
    [
        (PodKey("shop", "web", None, "host"), "host", b""),
        (PodKey(None, None, None, None), "miss", b""),
        (PodKey(None, None, None, "ab" * 6), "miss", b""),
        (
            PodKey("shop", "web", None, "ab" * 6),
            "hit",
            b',"kubernetes":{"namespace_name":"shop","pod_name":"web","docker_id":"abababababab"}',
        ),
    ],
)
def test_with_enrichment_off_only_the_fields_of_the_alert_are_used(key, result, plain):
    fragment = alert_fragment(key)

    assert (fragment.result, fragment.plain) == (result, plain)
