"""A Falco is recognised by its label, image, container or directory; and the setting that reads it is named."""

import pytest

from agent.core.falco_pods import (
    TailGlobs,
    falco_container,
    is_helm_test,
    main_container,
    owner_name,
    recognise_directory,
    recognise_pod,
    settings_to_read,
)

DEFAULT = TailGlobs("falco", "falco-*", "falco")


@pytest.mark.parametrize(
    ("labels", "containers", "because"),
    [
        ({"app.kubernetes.io/name": "falco"}, [("engine", "x")], "label app.kubernetes.io/name=falco"),
        ({}, [("falco", "x")], "container falco"),
        ({}, [("engine", "docker.io/falcosecurity/falco:0.44.1")], "image docker.io/falcosecurity/falco:0.44.1"),
        ({}, [("engine", "r:5000/mirror/falco@sha256:ab")], "image r:5000/mirror/falco@sha256:ab"),
        ({}, [("engine", "falcosecurity/falco-no-driver")], "image falcosecurity/falco-no-driver"),
        ({"app.kubernetes.io/name": "falcosidekick"}, [("falcosidekick", "falcosecurity/falcosidekick:2")], ""),
        ({"app.kubernetes.io/name": "falco-operator"}, [("manager", "falcosecurity/falco-operator:0.2")], ""),
        ({"app.kubernetes.io/name": "falcowatch"}, [("falcowatch", "ghcr.io/falcowatch/falcowatch:1")], ""),
        ({}, [("falcoctl-artifact-follow", "falcosecurity/falcoctl:0.12")], ""),
        ({}, [("web", "nginx")], ""),
        ({}, [], ""),
    ],
)
def test_a_pod_is_recognised(labels: dict[str, str], containers: list[tuple[str, str]], because: str) -> None:
    assert recognise_pod(labels, containers) == because


@pytest.mark.parametrize(
    ("pod", "containers", "because"),
    [
        ("security-falco-x2x9t", ["falco", "falcoctl-artifact-follow"], "container falco"),
        ("falco-x2x9t", ["engine"], "pod name falco-*"),
        ("falco-7d4b9c6f5-x2x9t", [], "pod name falco-*"),
        ("falco-falcosidekick-7d4b9c6f5-x2x9t", ["falcosidekick"], ""),
        ("falco-operator-7d4b9c6f5-x2x9t", ["manager"], ""),
        ("web-1", ["web"], ""),
    ],
)
def test_a_directory_is_recognised(pod: str, containers: list[str], because: str) -> None:
    assert recognise_directory(pod, containers) == because


@pytest.mark.parametrize(
    ("namespace", "pod", "container", "settings"),
    [
        ("falco", "falco-x2x9t", "falco", ""),
        ("default", "falco-x2x9t", "falco", "tail.namespace = default"),
        ("default", "falco-x2x9t", "", "tail.namespace = default"),
        ("falco", "security-x2x9t", "falco", "tail.pod = security-*"),
        ("falco", "engine", "falco", "tail.pod = engine"),
        ("falco", "falco-x2x9t", "engine", "tail.container = engine"),
        ("a", "b-x2x9t", "c", "tail.namespace = a, tail.pod = b-*, tail.container = c"),
    ],
)
def test_the_settings_that_would_read_it_are_named(namespace: str, pod: str, container: str, settings: str) -> None:
    assert settings_to_read(DEFAULT, namespace=namespace, pod=pod, container=container) == settings


def test_the_container_of_falco_is_found_by_name_then_by_image_then_by_order() -> None:
    assert falco_container([("side", "x"), ("engine", "a/falco:1"), ("falco", "y")]) == "falco"
    assert falco_container([("side", "x"), ("engine", "a/falco:1")]) == "engine"
    assert falco_container([("side", "x"), ("other", "y")]) == "side"
    assert falco_container([]) == ""


def test_the_container_of_a_directory_is_found_by_name_then_by_leaving_out_the_helpers() -> None:
    assert main_container(["engine", "falco", "falcoctl-artifact-follow"]) == "falco"
    assert main_container(["falcoctl-artifact-follow", "engine", "artifact-operator"]) == "engine"
    assert main_container(["falcoctl-artifact-install"]) == ""


def test_the_owner_of_a_pod_is_its_name_without_the_suffixes() -> None:
    assert [*map(owner_name, ("falco-x2x9t", "falco-7d4b9c6f5-x2x9t", "falco-0", "falco"))] == [
        "falco", "falco", "falco-0", "falco",
    ]  # fmt: skip


def test_a_test_of_helm_is_known_by_its_annotation() -> None:
    assert is_helm_test({"helm.sh/hook": "test"})
    assert is_helm_test({"helm.sh/hook": "post-install, test-success"})
    assert not is_helm_test({"helm.sh/hook": "post-install"})
    assert not is_helm_test({})
