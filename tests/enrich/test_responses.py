from __future__ import annotations

from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.enrich.pod import Selection
from agent.enrich.responses import (
    LARGEST_EVENT_BYTES,
    Event,
    Forbidden,
    Lines,
    Stale,
    Unauthorized,
    read_event,
    read_list,
    refusal,
)
from agent.errors import KubernetesError
from tests.enrich.objects import pod_object

ALL = Selection(["*"], [])


@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=20), st.data())
def test_lines_do_not_depend_on_the_size_of_the_pieces(lines, data):
    stream = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    splitter = Lines()

    pieces = [stream[start:end] for start, end in pairwise([0, *cuts, len(stream)])]

    found = [line for piece in pieces for line in splitter.feed(piece)]

    assert found == [line for line in lines if line.strip()]


def test_an_endless_line_is_an_error():
    splitter = Lines()

    assert splitter.feed(b"x" * LARGEST_EVENT_BYTES) == []

    with pytest.raises(KubernetesError, match="expected an event"):
        splitter.feed(b"x")


def test_a_list_without_pods_has_null_for_its_items():
    found = read_list(b'{"kind":"PodList","metadata":{"resourceVersion":"7"},"items":null}', ALL)

    assert (found.pods, found.version) == ([], "7")


def test_a_list_by_kubectl_has_no_version():
    body = orjson.dumps({"kind": "List", "metadata": {"resourceVersion": ""}, "items": [pod_object("web-1")]})

    assert [pod.name for pod in read_list(body, ALL).pods] == ["web-1"]


def test_an_unreadable_pod_does_not_affect_the_others():
    body = orjson.dumps({"metadata": {"resourceVersion": "7"}, "items": [{"metadata": 1}, pod_object("web-1")]})

    found = read_list(body, ALL)

    assert [pod.name for pod in found.pods] == ["web-1"]
    assert found.unreadable == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[]", b'{"kind":"Status","metadata":{}}', b'{"items":7}'])
def test_a_body_that_is_not_a_list_is_an_error(body):
    with pytest.raises(KubernetesError, match="expected a list of pods"):
        read_list(body, ALL)


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
