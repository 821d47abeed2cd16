"""Errors of the connection to the API server: each names the remedy and contains no secret."""

from __future__ import annotations

import ssl

import pytest
import yaml

from agent.enrich.kube_api import connect
from agent.errors import KubernetesError
from tests.enrich.cluster import NODE, serving, write_kubeconfig


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "kind: Config",
        "contexts: 7\ncurrent-context: a",
        "\0",
        "clusters: [1]\ncontexts: [2]\nusers: [3]",
    ],
)
async def test_an_invalid_kubeconfig_is_reported(tmp_path, text):
    path = tmp_path / "kubeconfig"
    path.write_text(text)

    with pytest.raises(KubernetesError, match=r"no usable configuration .*kubeconfig.*mount a service account token"):
        async with connect(NODE, path):
            pass


async def test_the_message_about_a_kubeconfig_contains_no_credentials(tmp_path):
    path = write_kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:1", tmp_path / "token")
    loaded = yaml.safe_load(path.read_text())
    loaded["users"] = [{"name": "agent", "token": "sesame"}]
    path.write_text(yaml.safe_dump(loaded))

    with pytest.raises(KubernetesError) as caught:
        async with connect(NODE, path):
            pass

    assert "Expected key user" in str(caught.value)
    assert "sesame" not in str(caught.value)


async def test_a_server_that_does_not_answer_is_named_in_the_error(tmp_path):
    async with serving() as (_, url):
        pass
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", url, tmp_path / "token")

    async with connect(NODE, kubeconfig) as api:
        with pytest.raises(KubernetesError, match=f"{url}/api/v1/pods did not answer"):
            await anext(api.list_pods())


@pytest.mark.parametrize(
    ("server", "proxy", "own_context"),
    [
        ("https://127.0.0.1:1", "", True),
        ("http://127.0.0.1:1", "https://proxy.example.com:3128", True),
        ("http://127.0.0.1:1", "http://proxy.example.com:3128", False),
    ],
)
async def test_each_connection_with_tls_has_a_context_of_its_own(tmp_path, monkeypatch, server, proxy, own_context):
    # The contexts that aiohttp makes for all sessions trust no authority (agent.aiohttp_import).
    monkeypatch.setenv("HTTP_PROXY", proxy)
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", server, tmp_path / "token")

    async with connect(NODE, kubeconfig) as api:
        used = vars(api._session.connector)["_ssl"]

    assert isinstance(used, ssl.SSLContext) == own_context
    assert not own_context or used.verify_mode is ssl.CERT_REQUIRED
