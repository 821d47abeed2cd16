"""What there is to read, as kubelet, Docker and logrotate lay it out, and what a look costs when nothing changes."""

import os
from pathlib import Path

import pytest

from agent.errors import DiscoveryError
from agent.settings import Tail
from agent.tail.discovery import Discovery
from tests.tail.following import POD, UID, Container, compress


def seen(discovery: Discovery) -> dict[str, list[str]]:
    return {
        str(source.path): ["/".join(file.relative[-1:]) for file in files] for source, files in discovery.look().items()
    }


def discovery_of(root: Path | None, **tail: object) -> Discovery:
    return Discovery(Tail.model_validate({"root": root, **tail}))


def test_a_container_s_files_come_oldest_first_and_each_restart_is_a_source(tmp_path: Path) -> None:
    container = Container(tmp_path)
    container.write(1)
    compress(container.rotate())
    container.write(2)
    container.rotate()
    Container(tmp_path, restart=1)
    (container.directory / "0.log.20261123-000009.tmp").touch()
    (container.directory / "notes.txt").touch()

    found = discovery_of(tmp_path).look()

    assert {source.relative[-1]: [file.relative[-1] for file in files] for source, files in found.items()} == {
        "0.log": ["0.log.20261123-000001.gz", "0.log.20261123-000002", "0.log"],
        "1.log": ["1.log"],
    }
    source = next(source for source in found if source.relative[-1] == "0.log")
    assert (source.namespace, source.pod, source.pod_uid, source.container) == ("falco", "falco-x7k2p", UID, "falco")
    assert [file.compressed for file in found[source]] == [True, False, False]
    assert [file.live for file in found[source]] == [False, False, True]


def test_only_the_selected_pods_and_containers_are_looked_into(tmp_path: Path) -> None:
    Container(tmp_path)
    (tmp_path / POD / "falcoctl-artifact-follow").mkdir()
    (tmp_path / POD / "falcoctl-artifact-follow" / "0.log").touch()
    for other in ("falco_nginx_" + UID, "other_falco-a_" + UID, "not kubelet's", ".hidden"):
        (tmp_path / other / "falco").mkdir(parents=True)
        (tmp_path / other / "falco" / "0.log").touch()
    (tmp_path / POD / "linked").symlink_to(tmp_path / POD / "falco")

    assert list(seen(discovery_of(tmp_path))) == [str(tmp_path / POD / "falco" / "0.log")]
    assert sorted(seen(discovery_of(tmp_path, container="*"))) == [
        str(tmp_path / POD / "falco" / "0.log"),
        str(tmp_path / POD / "falcoctl-artifact-follow" / "0.log"),
    ]


def test_what_comes_and_goes_is_seen_at_the_next_look(tmp_path: Path) -> None:
    discovery = discovery_of(tmp_path)
    assert discovery.look() == {}

    first, second = Container(tmp_path), Container(tmp_path, pod=POD.replace("x7k2p", "y"))
    assert len(discovery.look()) == 2
    assert first.directory in discovery.directories
    second.path.unlink()
    assert list(seen(discovery)) == [str(first.path)]
    first.rename()
    (source,) = discovery.look()
    assert str(source.path) == str(first.path)


def test_a_directory_that_has_not_changed_for_a_while_is_not_listed_again(tmp_path: Path) -> None:
    container = Container(tmp_path)
    discovery = discovery_of(tmp_path)
    for directory in (container.directory, container.directory.parent, tmp_path):
        os.utime(directory, (1000, 1000))
    before = discovery.look()
    container.path.unlink()
    os.utime(container.directory, (1000, 1000))

    assert discovery.look() == before  # as nobody ever does: changed, and the time of change set back
    os.utime(container.directory, (1001, 1001))
    assert discovery.look() == {}


def test_a_root_that_cannot_be_listed_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(DiscoveryError, match=r"mount kubelet's log directory there, or set tail\.root"):
        discovery_of(tmp_path / "absent").look()


def test_a_plain_file_and_what_logrotate_made_of_it_are_one_source(tmp_path: Path) -> None:
    for age, name in enumerate(
        ("falco.log", "falco.log.1", "falco.log.2.gz", "falco.log-20261120", "falco.log.bak", "other.log")
    ):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (10_000 - age, 10_000 - age))

    found = seen(discovery_of(None, paths=[f"{tmp_path}/falco.log"]))

    assert found == {
        f"{tmp_path}/falco.log": ["falco.log-20261120", "falco.log.2.gz", "falco.log.1", "falco.log"],
    }


def test_a_plain_file_that_is_away_leaves_its_rotated_ones(tmp_path: Path) -> None:
    (tmp_path / "falco.log.1").write_bytes(b"x")

    assert seen(discovery_of(None, paths=[f"{tmp_path}/falco.log"])) == {f"{tmp_path}/falco.log": ["falco.log.1"]}
    assert seen(discovery_of(None, paths=[f"{tmp_path}/*.log"])) == {}
    assert seen(discovery_of(None, paths=[f"{tmp_path}/nowhere/falco.log"])) == {}


def test_a_glob_over_docker_s_directories_finds_each_container(tmp_path: Path) -> None:
    for container in ("aaa", "bbb"):
        (tmp_path / container).mkdir()
        (tmp_path / container / f"{container}-json.log").touch()

    found = discovery_of(None, paths=[f"{tmp_path}/*/*-json.log"]).look()

    assert sorted(source.relative for source in found) == [("aaa", "aaa-json.log"), ("bbb", "bbb-json.log")]
    assert len({source.identity for source in found}) == 2
