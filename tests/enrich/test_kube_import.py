"""kubernetes-asyncio is imported without its generated modules, and other importers still find all of them."""

import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]

WITHOUT_GENERATED_MODULES = """
import sys

before = {*sys.modules}  # a program that measures coverage has modules of its own
import agent.enrich.kube_api

packages = ("kubernetes_asyncio.client.models", "kubernetes_asyncio.client.api.")
generated = [name for name in sys.modules if name.startswith(packages)]
assert not generated, generated[:3]
assert "kubernetes_asyncio.config.kube_config" in sys.modules
assert "multiprocessing" not in {*sys.modules} - before

from kubernetes_asyncio.client import CoreV1Api, V1Pod

assert CoreV1Api.__module__ == "kubernetes_asyncio.client.api.core_v1_api"
assert V1Pod.__module__ == "kubernetes_asyncio.client.models.v1_pod"
"""


ORDINARY_IMPORT = """
import sys
from importlib.abc import MetaPathFinder


class OtherLayout(MetaPathFinder):
    '''A release in which a module that the seam imports has another dependency: it needs the real package.'''

    def find_spec(self, name, path=None, target=None):
        package = sys.modules.get("kubernetes_asyncio.client")
        if name == "kubernetes_asyncio.config" and not hasattr(package, "CoreV1Api"):
            raise ImportError("cannot import name 'CoreV1Api' from 'kubernetes_asyncio.client'")


sys.meta_path.insert(0, OtherLayout())

import agent.enrich.kube_api as kube_api

assert kube_api.Configuration.__module__ == "kubernetes_asyncio.client.configuration"

from kubernetes_asyncio.client import Configuration, CoreV1Api

assert Configuration is kube_api.Configuration
assert "kubernetes_asyncio.client.models" in sys.modules
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)


def test_no_generated_module_is_imported_and_other_importers_find_the_whole_packages() -> None:
    done = run(WITHOUT_GENERATED_MODULES)

    assert done.returncode == 0, (
        f"kubernetes-asyncio {version('kubernetes-asyncio')} can no longer be imported without its generated modules; "
        f"adapt agent/enrich/kube_import.py to the new layout of its packages. {done.stderr}"
    )


def test_a_release_with_another_layout_is_imported_in_the_ordinary_way() -> None:
    done = run(ORDINARY_IMPORT)

    assert done.returncode == 0, done.stderr
    assert "imported with all its generated modules" in done.stderr


def test_the_releases_that_the_seam_was_checked_with_have_an_upper_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [allowed] = [line for line in project["dependencies"] if line.startswith("kubernetes-asyncio")]

    assert "," in allowed
    assert Requirement(allowed).specifier.contains(version("kubernetes-asyncio"))
