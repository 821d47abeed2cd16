from __future__ import annotations

import orjson
import pytest

from agent.enrich.pod import Pod, Selection
from agent.enrich.responses import (
    Event,
    Forbidden,
    PodListReader,
    Stale,
    Unauthorized,
    read_event,
    refusal,
)
from agent.errors import KubernetesError
from tests.enrich.objects import pod_object

ALL = Selection(["*"], [])


def read_list(body: bytes) -> tuple[list[Pod], str, int]:
    """Pods, version, and the number of pods that could not be decoded."""
    reader = PodListReader(ALL)
    pods = list(reader.feed(body))
    return pods, reader.end().version, reader.unreadable


def test_a_list_without_pods_has_null_for_its_items():
    body = b'{"kind":"PodList","metadata":{"resourceVersion":"7"},"items":null}'

    assert read_list(body) == ([], "7", 0)


def test_a_list_by_kubectl_has_no_version():
    body = orjson.dumps({"kind": "List", "metadata": {"resourceVersion": ""}, "items": [pod_object("web-1")]})

    assert [pod.name for pod in read_list(body)[0]] == ["web-1"]


def test_an_unreadable_pod_does_not_affect_the_others():
    body = orjson.dumps({"metadata": {"resourceVersion": "7"}, "items": [{"metadata": 1}, pod_object("web-1")]})

    pods, _, unreadable = read_list(body)

    assert [pod.name for pod in pods] == ["web-1"]
    assert unreadable == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[]", b'{"kind":"Status","metadata":{}}', b'{"items":7}'])
def test_a_body_that_is_not_a_list_is_an_error(body):
    with pytest.raises(KubernetesError, match="expected a list of pods"):
        read_list(body)


def test_a_bookmark_has_no_pod():
    line = b'{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"9","creationTimestamp":null}}}'

    assert read_event(line, ALL) == Event("bookmark", "9", None)


@pytest.mark.parametrize(
    "line",
    [
        b"<html>",
        b"{}",
        b'{"type":"ADDED"}',
        b'{"type":"ERROR","object":{"code":410,"reason":"Expired"}}',
        b'{"type":"ERROR","object":{}}',
        b'{"type":"ERROR","object":7}',
        b'{"type":"ADDED","object":7}',
    ],
)
def test_a_watch_that_cannot_be_followed_leads_to_a_new_list(line):
    with pytest.raises(Stale, match="listing again"):
        read_event(line, ALL)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Unauthorized), (403, Forbidden), (410, Stale), (400, Stale), (404, KubernetesError), (503, KubernetesError)],
)
@pytest.mark.parametrize("body", [b'{"message":"said so"}', b"said so", b'{"message":7,"x":"said so"}'])
def test_the_type_of_an_error_says_what_to_do_next(status, kind, body):
    error = refusal(status, body, "https://api/api/v1/pods")

    assert type(error) is kind
    assert f"https://api/api/v1/pods answered {status}" in str(error)
    assert "said so" in str(error)


@pytest.mark.parametrize("status", [401, 403, 407])
def test_a_refusal_that_is_no_status_object_is_told_as_a_proxys(status):
    proxys = str(refusal(status, b"<html>Forbidden</html>", "https://api/api/v1/pods"))
    own = str(refusal(403, b'{"kind":"Status","message":"pods is forbidden"}', "https://api/api/v1/pods"))

    assert "not an answer of the API server but of a proxy" in proxys
    assert "NO_PROXY" in proxys
    assert "service account" not in proxys
    assert "proxy" not in own
