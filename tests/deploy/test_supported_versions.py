"""The oldest and newest versions that README and the chart's README name are those that the tests use."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tests.deploy.conftest import KUBERNETES_VERSIONS

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm/falcowatch"
CAPTURED = ROOT / "tests/data/falco"


def row(page: Path, product: str) -> tuple[str, str]:
    """The oldest and the newest version in the page's table of supported versions."""
    (found,) = re.findall(rf"^\| {product} \| ([\d.]+) \| ([\d.]+) \|", page.read_text(), re.MULTILINE)
    oldest, newest = found
    return oldest, newest


def versions(pattern: str) -> set[str]:
    return {path.name.partition("-")[0] for path in CAPTURED.rglob(pattern)}


def test_both_pages_name_the_same_versions():
    for product in ("Falco", "Kubernetes", "Helm"):
        assert row(ROOT / "README.md", product) == row(CHART / "README.md", product)


def test_the_alerts_of_the_oldest_and_newest_falco_are_in_the_test_data():
    found = sorted(versions("0.*.jsonl"), key=lambda version: [int(part) for part in version.split(".")])

    assert row(ROOT / "README.md", "Falco") == (found[0], found[-1])


def test_the_chart_is_validated_for_the_oldest_and_newest_kubernetes_and_refuses_older_ones():
    oldest, newest = row(ROOT / "README.md", "Kubernetes")

    assert (oldest, newest) == KUBERNETES_VERSIONS
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"] == f">={oldest}.0-0"


def test_the_notes_name_the_oldest_versions():
    falco, kubernetes = (row(ROOT / "README.md", product)[0] for product in ("Falco", "Kubernetes"))

    assert (
        f"Kubernetes {kubernetes} or newer, and Falco {falco.removesuffix('.0')} or newer"
        in (CHART / "templates/NOTES.txt").read_text()
    )
