"""Sends the two requests to the Kubernetes API server: list and watch of this node's pods.

kubernetes-asyncio provides configuration, authentication and transport. Its errors and aiohttp's end in this module:
callers see only a KubernetesError, whose type says what to do next.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import yaml

from agent.enrich.kube_import import (
    SERVICE_TOKEN_FILENAME,
    ApiClient,
    ConfigException,
    Configuration,
    load_incluster_config,
    load_kube_config,
)
from agent.enrich.responses import PROXY_REMEDY, Lines, refusal
from agent.errors import KubernetesError
from agent.settings.no_proxy import exempt_from_proxy

PODS = "/api/v1/pods"

LIST_TIMEOUT = aiohttp.ClientTimeout(total=60, connect=10, sock_read=30)

# ConfigException: the client reads the mounted token again during a request, and the file may be empty then.
_FAILURES = (aiohttp.ClientError, TimeoutError, OSError, ConfigException)


class KubernetesApi:
    """Requests for the pods of one node, over one connection."""

    def __init__(self, client: ApiClient, node_name: str) -> None:
        self._client = client
        self._node_name = node_name

    async def list_pods(self) -> bytes:
        """The list of pods. `resourceVersion=0` lets the API server answer from its cache, without a read from etcd."""
        async with self._get([("resourceVersion", "0")], LIST_TIMEOUT) as response:
            return await response.read()

    async def watch_pods(self, version: str, timeout_seconds: int) -> AsyncGenerator[bytes, None]:
        """The lines of one watch, until the server ends it after `timeout_seconds`."""
        query = [
            ("watch", "true"),
            ("resourceVersion", version),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", str(timeout_seconds)),
        ]
        # Ends the watch if the server does not end it, or if the connection breaks without a reset.
        timeout = aiohttp.ClientTimeout(total=None, connect=10, sock_read=timeout_seconds + 15)
        lines = Lines()
        async with self._get(query, timeout) as response:
            async for data in response.content.iter_any():
                for line in lines.feed(data):
                    yield line

    @asynccontextmanager
    async def _get(
        self, query: list[tuple[str, str]], timeout: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        selector = [("fieldSelector", f"spec.nodeName={self._node_name}")]
        url = f"{self._client.configuration.host}{PODS}"
        try:
            response: aiohttp.ClientResponse = await self._client.call_api(
                PODS,
                "GET",
                query_params=selector + query,
                header_params={"Accept": "application/json"},
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=timeout,
            )
            async with response:
                if response.status != 200:
                    raise refusal(response.status, await response.content.read(4096), url)
                yield response
        except aiohttp.ClientHttpProxyError as error:
            raise KubernetesError(
                f"the proxy of HTTPS_PROXY answered {error.status} for {url}; {PROXY_REMEDY}"
            ) from error
        except _FAILURES as error:
            raise KubernetesError(f"{url} did not answer: {str(error) or type(error).__name__}") from error


@asynccontextmanager
async def connect(node_name: str, kubeconfig: Path | None = None) -> AsyncIterator[KubernetesApi]:
    """Opens a connection, with configuration and token read anew.

    `kubeconfig` names the file to use. Without it the mounted service account is used, else $KUBECONFIG, else
    ~/.kube/config. Raises KubernetesError when none exists or the one found is unusable.
    """
    configuration = Configuration()
    configuration.connection_pool_maxsize = 1
    # Python 3.13 refuses authorities without key identifiers, as EKS clusters have them (kubernetes-client/python,
    # issue 2394, read 2026-11). Chain, host name and expiry are still verified.
    configuration.disable_strict_ssl_verification = True
    try:
        if kubeconfig is None and Path(SERVICE_TOKEN_FILENAME).exists():
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            path = str(kubeconfig) if kubeconfig else None
            # persist_config would write refreshed tokens into the user's file.
            await load_kube_config(path, client_configuration=configuration, persist_config=False)
        exempt_from_proxy(os.environ, str(configuration.host))
        client = ApiClient(configuration)
    except (ConfigException, OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
        raise KubernetesError(
            f"no usable configuration of the Kubernetes API ({kubeconfig or 'service account or kubeconfig'}):"
            f" {_without_content(error)}; mount a service account token, set $KUBECONFIG, or set enrich.mode to none"
        ) from error
    client.user_agent = "falcowatch"
    try:
        yield KubernetesApi(client, node_name)
    finally:
        await client.close()


def _without_content(error: Exception) -> str:
    """The library's message without the part of the kubeconfig that it quotes, which may hold tokens."""
    return " ".join(str(error).partition("{")[0].split())
