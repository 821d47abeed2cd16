"""The Kubernetes client is taken without its generated modules, and nobody else notices."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys

import agent.enrich.kube_api

packages = ("kubernetes_asyncio.client.models", "kubernetes_asyncio.client.api.")
generated = [name for name in sys.modules if name.startswith(packages)]
assert not generated, generated[:3]
assert "kubernetes_asyncio.client.api_client" in sys.modules

from kubernetes_asyncio.client import CoreV1Api, V1Pod

assert CoreV1Api.__module__ == "kubernetes_asyncio.client.api.core_v1_api"
assert V1Pod.__module__ == "kubernetes_asyncio.client.models.v1_pod"
"""


def test_no_generated_module_is_imported_and_the_packages_are_whole_for_others() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
