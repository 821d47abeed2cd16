"""Sends the two requests to the Kubernetes API server: list and watch of this node's pods.

kubernetes-asyncio provides configuration and authentication. The transport is a plain aiohttp session, because its
limits matter here: no redirect is followed (a redirect would lead to another host), no compressed answer is accepted (a
small one can become gigabytes), answers are read in small pieces, and every request has a deadline. Foreign errors end
in this module: callers see only a KubernetesError, whose type says what to do next.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.request import getproxies

import aiohttp
import yaml

from agent.core.redact import without_passwords
from agent.enrich.kube_import import (
    SERVICE_TOKEN_FILENAME,
    ConfigException,
    Configuration,
    load_incluster_config,
    load_kube_config,
)
from agent.enrich.list_stream import Lines
from agent.enrich.responses import PROXY_REMEDY, refusal
from agent.errors import KubernetesError
from agent.settings.no_proxy import exempt_from_proxy

PODS = "/api/v1/pods"

PAGE_PODS = 100
"""Pods on one page of a list. A server that answers from its cache may ignore this limit and send all pods."""

READ_BUFFER_BYTES = 64 * 1024
"""Bytes that aiohttp reads ahead; it stops reading from the socket at twice this number."""

LIST_TIMEOUT = aiohttp.ClientTimeout(total=300, connect=10, sock_read=30)
"""Deadline of one page, and of the wait between two of its pieces."""

WATCH_GRACE_SECONDS = 15
"""Time after which a watch is ended by the agent when the server should have ended it."""

# ConfigException: the client reads the mounted token again during a request, and the file may be empty then.
_FAILURES = (aiohttp.ClientError, TimeoutError, OSError, ConfigException, ValueError, KeyError, TypeError)


class KubernetesApi:
    """Requests for the pods of one node, over one connection."""

    def __init__(self, session: aiohttp.ClientSession, configuration: Configuration, node_name: str) -> None:
        self._session = session
        self._configuration = configuration
        self._node_name = node_name

    async def list_pods(self, continue_token: str = "") -> AsyncGenerator[bytes, None]:
        """The pieces of one page of the list.

        `resourceVersion=0` lets the API server answer from its cache, without a read from etcd.
        """
        query = [("limit", str(PAGE_PODS))]
        query.append(("continue", continue_token) if continue_token else ("resourceVersion", "0"))
        async with self._get(query, LIST_TIMEOUT) as response:
            async for data in response.content.iter_any():
                yield data

    async def watch_pods(self, version: str | None, timeout_seconds: int) -> AsyncGenerator[bytes | bytearray, None]:
        """The lines of one watch from `version`, until the server ends it after `timeout_seconds`.

        None: the watch first sends an event for every pod that exists and then a bookmark with the annotation
        `k8s.io/initial-events-end` (Kubernetes 1.32 and later by default). Older servers answer with an error.
        """
        query = [
            ("watch", "true"),
            ("resourceVersion", "0" if version is None else version),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", str(timeout_seconds)),
        ]
        if version is None:
            query += [("sendInitialEvents", "true"), ("resourceVersionMatch", "NotOlderThan")]
        timeout = aiohttp.ClientTimeout(total=timeout_seconds + WATCH_GRACE_SECONDS, connect=10)
        lines = Lines()
        async with self._get(query, timeout) as response:
            async for data in response.content.iter_any():
                for line in lines.feed(data):
                    yield line
                    del line

    @asynccontextmanager
    async def _get(
        self, query: list[tuple[str, str]], timeout: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        configuration = self._configuration
        url = f"{configuration.host}{PODS}"
        try:
            async with self._session.get(
                url,
                params=[("fieldSelector", f"spec.nodeName={self._node_name}"), *query],
                headers=await self._headers(),
                timeout=timeout,
                allow_redirects=False,
                server_hostname=configuration.tls_server_name or None,
                proxy=configuration.proxy or None,
                proxy_headers=configuration.proxy_headers or None,
            ) as response:
                if response.status != 200:
                    raise refusal(response.status, await response.content.read(4096), without_passwords(url))
                if response.headers.get("Content-Encoding", "identity") != "identity":
                    raise KubernetesError(f"{without_passwords(url)} sent a compressed answer, which was not requested")
                yield response
        except aiohttp.ClientHttpProxyError as error:
            raise KubernetesError(
                f"the proxy of HTTPS_PROXY answered {error.status} for {url}; {PROXY_REMEDY}"
            ) from error
        except _FAILURES as error:
            reason = without_passwords(str(error)) or type(error).__name__
            raise KubernetesError(f"{without_passwords(url)} did not answer: {reason[:300]}") from error

    async def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "falcowatch"}
        if token := (await self._configuration.auth_settings()).get("BearerToken"):
            # A token file usually ends with a newline, which a header must not contain.
            headers["Authorization"] = str(token["value"]).strip()
            if not headers["Authorization"].isprintable():
                raise KubernetesError("the service account token contains line breaks or control characters")
        return headers


@asynccontextmanager
async def connect(node_name: str, kubeconfig: Path | None = None) -> AsyncIterator[KubernetesApi]:
    """Opens a connection, for which configuration and token are read again.

    `kubeconfig` names the file to use. Without it the mounted service account is used, else $KUBECONFIG, else
    ~/.kube/config. Raises KubernetesError when none exists or the one found is unusable.
    """
    configuration = Configuration()
    try:
        if kubeconfig is None and Path(SERVICE_TOKEN_FILENAME).exists():
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            path = str(kubeconfig) if kubeconfig else None
            # persist_config would write refreshed tokens into the user's file.
            await load_kube_config(path, client_configuration=configuration, persist_config=False)
        exempt_from_proxy(os.environ, str(configuration.host))
        # Loading the certificates of all authorities costs more CPU than the request.
        tls = _tls_context(configuration) if _uses_tls(configuration) else True
    except (ConfigException, OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
        raise KubernetesError(
            f"no usable configuration of the Kubernetes API ({kubeconfig or 'service account or kubeconfig'}):"
            f" {_without_content(error)}; mount a service account token, set $KUBECONFIG, or set enrich.mode to none"
        ) from error
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=1, ssl=tls),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        read_bufsize=READ_BUFFER_BYTES,
        trust_env=True,
    ) as session:
        yield KubernetesApi(session, configuration, node_name)


def _uses_tls(configuration: Configuration) -> bool:
    """Whether the API server or a proxy on the way to it has an https URL."""
    urls = (configuration.host, configuration.proxy, *getproxies().values())
    return any(str(url).startswith("https://") for url in urls)


def _tls_context(configuration: Configuration) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    # Python 3.13 refuses authorities without key identifiers, as EKS clusters have them (kubernetes-client/python,
    # issue 2394, read 2026-11). Chain, host name and expiry are still verified.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _without_content(error: Exception) -> str:
    """The library's message without the part of the kubeconfig that it quotes, which may hold tokens."""
    return " ".join(str(error).partition("{")[0].split())
