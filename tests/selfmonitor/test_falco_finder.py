"""Every Falco of the node is found once, whichever of files, pods and directories show it; a test of Helm is none."""

import os
import time
from pathlib import Path

import pytest

from agent.core.falco_pods import TailGlobs
from agent.core.falco_state import FoundFalco
from agent.enrich.pod import Container, Pod
from agent.enrich.workload import Workload
from agent.selfmonitor.falco_finder import FalcoFinder, FoundFalcos, restarts_known
from agent.selfmonitor.log_peek import LogPeek
from agent.selfmonitor.pod_directories import LIST_ANYHOW_SECONDS, PodDirectories
from agent.settings import Tail
from agent.tail.checkpoint import Position
from agent.tail.types import Source
from tests.process.driver import POD, alert, append, container, cri

UID = "0f8fad5b-d9cb-469f-a165-70867728950e"
OTHER_UID = "11111111-d9cb-469f-a165-70867728950e"
HELM_TEST = b'{"output":"x","priority":"Notice","rule":"Falcowatch helm test","source":"syscall"}'


def pod(
    name: str = "falco-x2x9t",
    *,
    namespace: str = "falco",
    uid: str = UID,
    because: str = "container falco",
    workload: str = "DaemonSet",
    is_helm_test: bool = False,
    is_finished: bool = False,
    age_seconds: float = 100.0,
) -> Pod:
    created_ms = int((time.time() - age_seconds) * 1000)
    containers = (Container("falco", "", "", ()), Container("falcoctl-artifact-follow", "", "", ()))
    return Pod(
        namespace, name, uid, "", created_ms, "n", "", Workload(workload, "falco"), {}, {}, 0, 0, (),
        containers=containers, falco_because=because, is_helm_test=is_helm_test, is_finished=is_finished,
    )  # fmt: skip


def source(place: Path, directory: str = POD, log: str = "0.log") -> Source:
    namespace, name, uid = directory.split("_")
    return Source(place / "pods", (directory, "falco", log), namespace, name, uid, "falco")


def find(place: Path, *pods: Pod, sources: tuple[Source, ...] = (), now: float = 1000.0, **tail: str) -> FoundFalcos:
    finder = FalcoFinder(Tail.model_validate({"root": place / "pods"} | tail))
    return finder.find([(each, now) for each in sources], pods, now)


def names(found: list[FoundFalco]) -> list[tuple[str, str]]:
    return [(falco.name, falco.to_read) for falco in found]


def test_a_falco_with_a_log_and_a_pod_is_one(tmp_path: Path) -> None:
    append(container(tmp_path) / "0.log", cri(alert(1)))

    found = find(tmp_path, pod(), sources=(source(tmp_path),))

    [falco] = found.falcos
    assert (falco.name, falco.format, falco.has_log, falco.to_read) == ("falco/falco-x2x9t", "json", True, "")
    assert {sighting.key for sighting in found.sightings} == {f"{UID}/falco"}


def test_a_falco_elsewhere_is_one_whether_the_api_server_or_a_directory_or_both_show_it(tmp_path: Path) -> None:
    container(tmp_path, f"default_falco-b4c5d_{UID}")
    there = pod("falco-b4c5d", namespace="default")

    expected = [("default/falco-b4c5d", "tail.namespace = default")]
    assert names(find(tmp_path).falcos) == expected
    assert names(find(tmp_path, there).falcos) == expected


def test_a_pod_that_the_api_server_knows_is_judged_by_it_and_not_by_its_directory(tmp_path: Path) -> None:
    container(tmp_path, f"default_web-1_{UID}")

    assert names(find(tmp_path, pod("web-1", namespace="default", because="")).falcos) == []


def test_a_container_that_the_settings_do_not_select_is_named(tmp_path: Path) -> None:
    container(tmp_path)

    assert names(find(tmp_path, container="engine").falcos) == [("falco/falco-x2x9t", "tail.container = falco")]
    assert names(find(tmp_path, pod(), container="engine").falcos) == [("falco/falco-x2x9t", "tail.container = falco")]


def test_a_pod_in_place_whose_container_has_another_name_is_named_with_that_container(tmp_path: Path) -> None:
    for name in ("falcoctl-artifact-install", "falco-engine"):
        container(tmp_path, name=name)

    assert names(find(tmp_path).falcos) == [("falco/falco-x2x9t", "tail.container = falco-engine")]


def test_a_selected_container_without_a_log_is_found_by_its_directory(tmp_path: Path) -> None:
    os.utime(container(tmp_path), (time.time() - 100, time.time() - 100))

    found = find(tmp_path)

    [falco] = found.falcos
    assert (falco.name, falco.has_log) == ("falco/falco-x2x9t", False)
    assert falco.wrote_at == pytest.approx(900, abs=5)
    assert [sighting.key for sighting in found.sightings] == [f"{UID}/falco"]


def test_a_directory_that_was_left_behind_is_no_falco_when_the_api_server_knows_the_pods(tmp_path: Path) -> None:
    container(tmp_path)
    container(tmp_path, f"default_falco-b4c5d_{UID}")

    there = pod("web-1", namespace="default", uid=OTHER_UID, because="")

    found = find(tmp_path, there)

    assert (found.falcos, found.sightings) == ([], [])


def test_a_log_behind_a_link_that_is_not_allowed_is_unreadable_with_the_setting(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.mkdir()
    append(docker / "x-json.log", alert(1) + b"\n")
    (container(tmp_path) / "0.log").symlink_to(docker / "x-json.log")

    [falco] = find(tmp_path, sources=(source(tmp_path),)).falcos
    assert falco.unreadable == f"it is a link to {docker / 'x-json.log'}, which tail.follow_links_into does not allow"

    finder = FalcoFinder(Tail.model_validate({"root": tmp_path / "pods", "follow_links_into": [docker]}))
    [falco] = finder.find([(source(tmp_path), 1.0)], [], 1000.0).falcos
    assert (falco.unreadable, falco.format) == ("", "json")


def test_a_log_that_has_just_gone_is_not_unreadable(tmp_path: Path) -> None:
    container(tmp_path)

    [falco] = find(tmp_path, sources=(source(tmp_path),)).falcos
    assert falco.unreadable == ""


def test_a_selected_pod_without_a_log_is_known_by_its_age(tmp_path: Path) -> None:
    (tmp_path / "pods").mkdir()

    [falco] = find(tmp_path, pod(age_seconds=100)).falcos
    assert not falco.has_log
    assert falco.wrote_at == pytest.approx(900, abs=5)


def test_without_a_log_root_pods_are_not_looked_for(tmp_path: Path) -> None:
    finder = FalcoFinder(Tail.model_validate({"root": None, "paths": ["/x/falco.json"]}))

    found = finder.find([], [pod(), pod("falco-b4c5d", namespace="default", uid=OTHER_UID)], 1000.0)

    assert found.falcos == []


@pytest.mark.parametrize("known_by", ["annotation", "first line"])
def test_a_pod_of_helm_test_is_no_falco(tmp_path: Path, known_by: str) -> None:
    append(container(tmp_path) / "0.log", cri(HELM_TEST if known_by == "first line" else alert(1)))
    pods = [pod(is_helm_test=True)] if known_by == "annotation" else []

    found = find(tmp_path, *pods, sources=(source(tmp_path),))

    assert (found.sightings, found.falcos, found.tests) == ([], [], {f"{UID}/falco"})


def test_a_pod_of_helm_test_without_a_log_is_no_falco(tmp_path: Path) -> None:
    (tmp_path / "pods").mkdir()

    found = find(tmp_path, pod(is_helm_test=True))

    assert (found.sightings, found.falcos) == ([], [])


def test_a_pod_whose_containers_have_ended_is_no_falco(tmp_path: Path) -> None:
    append(container(tmp_path) / "0.log", cri(alert(1)))

    found = find(tmp_path, pod(is_finished=True), sources=(source(tmp_path),))

    assert (found.sightings, found.falcos) == ([], [])


@pytest.mark.parametrize(
    ("workload", "is_movable"), [("DaemonSet", False), ("Pod", False), ("Deployment", True), ("StatefulSet", True)]
)
def test_the_owner_decides_whether_a_falco_may_move(tmp_path: Path, workload: str, is_movable: bool) -> None:
    append(container(tmp_path) / "0.log", cri(alert(1)))

    found = find(tmp_path, pod(workload=workload), sources=(source(tmp_path),))

    assert {sighting.is_movable for sighting in found.sightings} == {is_movable}
    assert [falco.is_movable for falco in found.falcos] == [is_movable]


def test_the_newest_restart_of_a_container_is_looked_at(tmp_path: Path) -> None:
    append(container(tmp_path) / "0.log", cri(alert(1)))
    append(container(tmp_path) / "1.log", cri(b"07:53:51.905525426: Warning text"))

    found = find(tmp_path, sources=(source(tmp_path, log="1.log"), source(tmp_path)))

    assert [
        (falco.format, sighting.restart) for falco, sighting in zip(found.falcos, found.sightings, strict=True)
    ] == [("text", 1)]


def test_the_restarts_that_the_checkpoint_knows_are_those_of_the_paths() -> None:
    root = "/var/log/pods"
    paths = (f"{root}/{POD}/falco/0.log.20261123-100000", f"{root}/{POD}/falco/2.log", "/var/log/falco.json", "x", "")

    assert restarts_known({str(n): Position(path, 0) for n, path in enumerate(paths)}) == {f"{UID}/falco": 2}


def test_directories_are_listed_again_when_the_root_changes_and_once_a_minute(tmp_path: Path) -> None:
    (tmp_path / "pods").mkdir()
    directories = PodDirectories(tmp_path / "pods", TailGlobs("falco", "falco-*", "falco"))
    assert directories.unread(0.0) == ()

    container(tmp_path, f"default_security-x2x9t_{UID}", "init")
    assert directories.unread(5.0) == ()
    container(tmp_path, f"default_security-x2x9t_{UID}")
    assert directories.unread(10.0) == ()
    [unread] = directories.unread(5.0 + LIST_ANYHOW_SECONDS)
    assert (unread.name, unread.to_read) == (
        "default/security-x2x9t",
        "tail.namespace = default, tail.pod = security-*",
    )


def test_a_root_that_is_gone_has_no_directories(tmp_path: Path) -> None:
    assert PodDirectories(tmp_path / "no", TailGlobs("falco", "falco-*", "falco")).unread(0.0) == ()


def test_a_look_at_a_log_keeps_what_a_rotation_takes_away(tmp_path: Path) -> None:
    live = container(tmp_path) / "0.log"
    append(live, cri(b"Mon Nov 23 07:53:51 2026: Falco version: 0.44.1 (x86_64)"), cri(alert(1)))
    peek, log = LogPeek(()), source(tmp_path)
    first = peek.look(log, 1.0)
    live.rename(live.with_name("0.log.20261123-100000"))
    live.touch()

    assert peek.look(log, 2.0) == first
    live.unlink()
    assert peek.look(log, 3.0) == first
    peek.keep_only(set())
    assert peek.look(log, 4.0).version == ""
