"""The line_format of kubelet's names, and what is outside of it."""

import pytest

from agent.core.reading.pod_paths import LogName, PodDirectory, Selection, parse_log_name, parse_pod_directory

UID = "3f2b8a34-2f11-4a0a-9d6f-0c5b8f6a7e11"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("0.log", LogName(0, "", False)),
        ("17.log", LogName(17, "", False)),
        ("0.log.20261123-073733", LogName(0, "20261123-073733", False)),
        ("3.log.20261123-073723.gz", LogName(3, "20261123-073723", True)),
        ("00.log", None),
        ("٣.log", None),
        ("0.log.gz", None),
        ("0.log.20261123-073723.gz.tmp", None),
        ("0.log.20261123-073723.tmp", None),
        ("0.log.20261123-073723\n", None),
        ("0.log.1", None),
        (".log", None),
        ("", None),
    ],
)
def test_a_log_file_is_named_by_restart_rotation_and_compression(name: str, expected: LogName | None) -> None:
    assert parse_log_name(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"falco_falco-x7k2p_{UID}", PodDirectory("falco", "falco-x7k2p", UID)),
        (
            "kube-system_etcd-node.example_0123456789abcdef0123456789abcdef",
            PodDirectory("kube-system", "etcd-node.example", "0123456789abcdef0123456789abcdef"),
        ),
        (f"falco_falco-x_{UID}\n", None),
        (f"Falco_falco-x_{UID}", None),
        (f"falco_falco_x_{UID}", None),
        (f"falco_../etc_{UID}", None),
        ("falco_falco-x_", None),
        ("", None),
    ],
)
def test_a_pod_directory_is_named_by_namespace_pod_and_uid(name: str, expected: PodDirectory | None) -> None:
    assert parse_pod_directory(name) == expected


def test_a_selection_takes_what_its_globs_match() -> None:
    selection = Selection("falco*", "falco-*", "falco")

    assert selection.takes_pod(PodDirectory("falco-system", "falco-a", UID))
    assert not selection.takes_pod(PodDirectory("other", "falco-a", UID))
    assert not selection.takes_pod(PodDirectory("falco", "nginx", UID))
    assert selection.takes_container("falco")
    assert not selection.takes_container("falcoctl-artifact-follow")
    assert not Selection("*", "*", "*").takes_container("../etc")
