"""The oldest and newest versions that README and the chart's README name are those that the tests use."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.deploy.conftest import KUBERNETES_VERSIONS, NEXT_KUBERNETES

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm/falcowatch"
DATA = ROOT / "tests/data"
CAPTURED = DATA / "falco"
MADE_AFTER_THE_SOURCE = CAPTURED / "derived"
PAGES = [ROOT / "README.md", CHART / "README.md"]
LOGS = DATA / "logs"
RUNTIMES = {"conmon": "podman-k8s-file.log", "Docker": "docker-json.log"}
"""The container runtimes without captured versions that the pages name, and what is captured from each."""


def row(page: Path, product: str) -> tuple[str, str]:
    """The oldest and the newest version in the page's table of supported versions."""
    (found,) = re.findall(rf"^\| {product} \| ([\d.]+) \| ([\d.]+) \|", page.read_text(), re.MULTILINE)
    oldest, newest = found
    return oldest, newest


def versions(folder: Path) -> list[str]:
    """The versions of Falco whose alerts are in the folder, oldest first."""
    found = {path.name.partition("-")[0] for path in folder.glob("0.*.jsonl")}
    return sorted(found, key=lambda version: [int(part) for part in version.split(".")])


def containerd_table(page: Path) -> dict[str, list[str]]:
    """The versions of containerd in the page's table, and the versions of Kubernetes that each is for."""
    rows = re.findall(r"^\| ([\d.]+) \| 1\.(\d+)(?: to 1\.(\d+))? \|$", page.read_text(), re.MULTILINE)
    return {
        containerd: [f"1.{minor}" for minor in range(int(oldest), int(newest or oldest) + 1)]
        for containerd, oldest, newest in rows
    }


def recommended_for(containerd: str) -> list[str]:
    """The versions of Kubernetes for which containerd's own table names this version, or an older patch of it."""
    major, minor, patch = map(int, containerd.split("."))
    return [
        entry["kubernetes"]
        for entry in json.loads((LOGS / "kubernetes-support.json").read_text())
        for first in entry["containerd"]
        if [major, minor] == [int(part) for part in first.split(".")[:2]] and patch >= int(first.split(".")[2])
    ]


def test_both_pages_name_the_same_versions():
    for product in ("Falco", "Kubernetes", "Helm"):
        assert row(ROOT / "README.md", product) == row(CHART / "README.md", product)


def test_alerts_are_captured_from_the_oldest_and_newest_supported_falco():
    captured = versions(CAPTURED)

    assert row(ROOT / "README.md", "Falco") == (captured[0], captured[-1])


@pytest.mark.parametrize("page", PAGES, ids=["README", "chart"])
def test_a_falco_without_captured_alerts_is_named_as_one(page: Path):
    (version,) = versions(MADE_AFTER_THE_SOURCE)

    assert f"Falco {version.removesuffix('.0')} is tested with lines made after its source" in page.read_text()


@pytest.mark.parametrize("page", PAGES, ids=["README", "chart"])
def test_log_files_are_captured_from_the_runtimes_that_the_page_names(page: Path):
    (named,) = re.findall(r"also read log files captured from (.+)\.", page.read_text())

    assert re.findall(r"[A-Za-z]+", named.replace(" and ", " ")) == list(RUNTIMES)
    assert all((LOGS / name).exists() for name in RUNTIMES.values())
    assert {path.suffix for path in (LOGS / "kubelet").iterdir()} >= {".log", ".gz"}


@pytest.mark.parametrize("page", PAGES, ids=["README", "chart"])
def test_the_page_names_the_captured_versions_of_containerd_and_the_kubernetes_that_each_is_for(page: Path):
    captured = {path.name.removeprefix("containerd-") for path in LOGS.glob("containerd-[0-9]*")}

    assert containerd_table(page) == {version: recommended_for(version) for version in captured}


@pytest.mark.parametrize("page", PAGES, ids=["README", "chart"])
def test_a_capture_exists_for_each_supported_kubernetes(page: Path):
    oldest, newest = (int(version.removeprefix("1.")) for version in row(page, "Kubernetes"))
    captured = {version for versions in containerd_table(page).values() for version in versions}
    captured |= {path.name.removeprefix("kubelet-").rpartition(".")[0] for path in LOGS.glob("kubelet-[0-9]*")}

    assert {f"1.{minor}" for minor in range(oldest, newest + 1)} <= captured
    assert f"fit the schemas of {NEXT_KUBERNETES}, too, but no log file of it is captured" in page.read_text()


@pytest.mark.parametrize("page", PAGES, ids=["README", "chart"])
def test_the_page_names_the_captured_versions_of_kubelet_and_the_containerd_of_each(page: Path):
    named = re.findall(r"kubelet ([\d.]+\d) ran on containerd ([\d.]+\d)", page.read_text())
    rows = re.findall(
        r"^\| `kubelet-([\d.]+)` \| .*containerd(?:/v2)? v?([\d.]+)", (LOGS / "README.md").read_text(), re.MULTILINE
    )

    assert named == rows
    assert f"log files of kubelet {named[0][0]} and {named[-1][0]}, and the schemas of both" in page.read_text()
    assert tuple(version.rpartition(".")[0] for version, _ in (named[0], named[-1])) == row(page, "Kubernetes")
    assert {f"kubelet-{version}" for version, _ in rows} == {path.name for path in LOGS.glob("kubelet-[0-9]*")}


def test_the_page_of_the_captures_says_how_each_was_made():
    named = re.findall(r"^\| `((?:containerd|kubelet)-[\d.]+)` \|", (LOGS / "README.md").read_text(), re.MULTILINE)

    assert named == sorted(path.name for path in LOGS.glob("*-[0-9]*"))


def test_the_chart_is_validated_for_the_oldest_and_newest_kubernetes_and_refuses_older_ones():
    oldest, newest = row(ROOT / "README.md", "Kubernetes")

    assert (oldest, newest) == KUBERNETES_VERSIONS
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"] == f">={oldest}.0-0"


def test_the_annotations_of_the_chart_name_the_versions():
    annotations = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]

    for product in ("Falco", "Kubernetes"):
        assert annotations[f"falcowatch/supported-{product.lower()}"] == " to ".join(row(ROOT / "README.md", product))


def test_the_notes_name_the_versions():
    falco, kubernetes = (row(ROOT / "README.md", product) for product in ("Falco", "Kubernetes"))
    notes = (CHART / "templates/NOTES.txt").read_text()

    assert f"Kubernetes {kubernetes[0]} or newer, and Falco {falco[0].removesuffix('.0')} or newer" in notes
    assert f"The newest versions in its tests are Kubernetes {kubernetes[1]} and Falco {falco[1]}." in notes
