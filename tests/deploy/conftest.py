"""Fixtures of all deployment tests: real helm and kubectl, which run offline with an empty home directory.

The fixtures `helm` and `kubectl` are functions that take arguments and return a finished process. They do not raise if
the program fails. If helm or kubectl cannot be found or fetched, the test skips and says why. `aws` makes clients of a
local moto server. `documents` splits a YAML stream into objects. `validate_strictly` checks objects against the schemas
of the Kubernetes API.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from moto.server import ThreadedMotoServer

from tools.binaries import MissingTool, find, helm_environment

Runner = Callable[..., subprocess.CompletedProcess[str]]

KUBERNETES_VERSIONS = ("1.25", "1.36")
"""The oldest and the newest that are supported."""
NEXT_KUBERNETES = "1.37"
"""Its schemas are tested, and nothing else of it."""
"""The oldest and the newest supported version, which are also those that kubernetes-validate contains."""


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return _runner("helm", tmp_path_factory.mktemp("helm-home"))


@pytest.fixture(scope="module")
def aws() -> Iterator[Any]:
    """A function that returns a client of an AWS service. The clients talk to a local moto server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    session = botocore.session.get_session()

    def client(service: str) -> Any:
        return session.create_client(
            service,
            region_name="ap-south-1",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
            aws_secret_access_key="made-up",
        )

    yield client
    server.stop()


@pytest.fixture(scope="session")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return _runner("kubectl", tmp_path_factory.mktemp("kubectl-home"))


def _runner(name: str, home: Path) -> Runner:
    try:
        tool = find(name)
    except MissingTool as error:
        pytest.skip(str(error))
    environment = helm_environment(home) | {"KUBECONFIG": str(home / "no-kubeconfig")}

    def run(*arguments: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [tool, *arguments]
        if arguments[0] in ("template", "lint", "install") and not _sets_the_image(arguments):
            command += ["--set", "image.repository=falcowatch/falcowatch"]
        return subprocess.run(command, capture_output=True, text=True, check=False, input=stdin, env=environment)

    return run


def _sets_the_image(arguments: tuple[str | Path, ...]) -> bool:
    """The chart requires the repository of the image. The runner sets it where neither values nor arguments do."""
    values = [Path(each).read_text() for each in arguments if str(each).endswith("values.yaml")]
    return any("repository:" in text for text in values) or any("image.repository" in str(each) for each in arguments)


def documents(text: str) -> list[dict[str, Any]]:
    """Returns the objects of a YAML stream without empty documents."""
    return [document for document in yaml.safe_load_all(text) if document]


def validate_strictly(objects: list[dict[str, Any]]) -> None:
    """Raises kubernetes-validate's error for an unknown field, a missing field or a wrong type, in any version.

    Custom resources have no schema there, so they are not checked here.
    """
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="needs the dev group's kubernetes-validate")
    for item in objects:
        if item["apiVersion"].startswith(("monitoring.coreos.com/", "security.openshift.io/")):
            continue
        for version in (*KUBERNETES_VERSIONS, NEXT_KUBERNETES):
            kubernetes_validate.validate(item, version, strict=True)
