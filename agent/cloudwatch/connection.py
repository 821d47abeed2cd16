"""The connection to CloudWatch Logs: one session and one client of the SDK, and one way to call it.

A call ends by its deadline, is tried once (the shipper retries) and raises only PutError. After `renew` the next call
opens a new connection with fresh credentials, while the calls under way end on the old one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aiobotocore import __version__ as aiobotocore_version
from botocore import __version__ as botocore_version
from botocore import exceptions as sdk
from botocore import xform_name
from msgspec import Struct

from agent.cloudwatch import environment
from agent.cloudwatch.credentials import load_credentials, renewed
from agent.cloudwatch.error_map import FOREIGN_ERRORS, code_of, put_error, without_body
from agent.cloudwatch.http_session import BoundedSession, bound_credential_endpoints
from agent.cloudwatch.put_request import OPERATION, GuardedPuts, SessionRecorder, open_puts
from agent.cloudwatch.response_check import NotAnAnswer, check_answers_of
from agent.cloudwatch.sdk_import import AioConfig, AioSession
from agent.errors import Refused, SettingsError, Unavailable, shortened
from agent.settings.model import CloudWatch
from agent.settings.no_proxy import exempt_from_proxy

CONNECT_SECONDS = 5.0
KEEPALIVE_SECONDS = 15.0
"""AWS closes an idle connection after 20 s (measured 2026-11). We close it earlier, so no put meets a closed one."""
MOST_CONNECTIONS = 512
"""More than the shipper opens, which bounds its requests itself: a put must never wait behind requests that hang."""

_UNREADABLE = (TypeError, ValueError, AttributeError, KeyError, RecursionError)
"""What the SDK raises for answers with values of the wrong type, or nested too deeply."""

_REGION = {"region": ("region", ["AWS_REGION", "AWS_DEFAULT_REGION"], None, None)}
"""botocore does not read AWS_REGION, which every other SDK reads and the webhooks of EKS set."""


class Connection(Struct):
    client: Any
    puts: GuardedPuts
    credentials: Any
    session: Any
    _stack: AsyncExitStack
    calls: int = 0
    retired: bool = False

    async def close_when_idle(self) -> None:
        if self.retired and not self.calls:
            await self._stack.aclose()


class Connector:
    """Opens the connection at first use, and again after `renew`. Raises SettingsError when no region is known."""

    def __init__(self, settings: CloudWatch, *, user_agent_extra: str) -> None:
        if problems := environment.problems(os.environ):
            raise SettingsError(problems)
        bound_credential_endpoints()
        self._settings = settings
        if settings.endpoint_url:
            exempt_from_proxy(os.environ, settings.endpoint_url)
        self._config = AioConfig(
            parameter_validation=False,
            retries={"mode": "standard", "total_max_attempts": 1},
            connect_timeout=min(CONNECT_SECONDS, settings.timeout_seconds),
            read_timeout=settings.timeout_seconds,
            http_session_cls=BoundedSession,
            max_pool_connections=MOST_CONNECTIONS,
            tcp_keepalive=True,
            connector_args={"keepalive_timeout": KEEPALIVE_SECONDS},
            # Given whole, because the SDK would build it again for each call.
            user_agent=f"{user_agent_extra} aiobotocore/{aiobotocore_version} botocore/{botocore_version}",
        )
        self._connection: Connection | None = None
        self._opening = asyncio.Lock()
        session = AioSession(session_vars=_REGION)
        self.region = _region(settings, session)
        self._models = session.get_component("data_loader")
        self._first_session: AioSession | None = session
        """For the first connection: to make another session takes 20 ms."""

    async def call(self, operation: str, target: str, *, tolerate: str = "", **parameters: object) -> Mapping[str, Any]:
        """The reply; for the error code `tolerate`, the fields of the error. Raises PutError.

        `operation` has the name that AWS uses. `target`, the group or stream, only appears in messages.
        """

        def through_the_client(connection: Connection) -> Awaitable[Mapping[str, Any]]:
            call: Awaitable[Mapping[str, Any]] = getattr(connection.client, xform_name(operation))(**parameters)
            return call

        return await self._try_once(through_the_client, operation, target, tolerate)

    async def put(self, body: bytes, target: str, *, tolerate: str = "") -> Mapping[str, Any]:
        """The same for PutLogEvents with a finished body."""
        return await self._try_once(lambda connection: connection.puts.put(body), OPERATION, target, tolerate)

    async def _try_once(
        self,
        attempt: Callable[[Connection], Awaitable[Mapping[str, Any]]],
        operation: str,
        target: str,
        tolerate: str,
    ) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(self._settings.timeout_seconds), self._borrowed() as connection:
                await renewed(connection.credentials)
                reply = await attempt(connection)
        except FOREIGN_ERRORS as error:
            if tolerate and code_of(error) == tolerate:
                return _response_of(error)
            raise put_error(error, operation=operation, target=target) from without_body(error)
        except (NotAnAnswer, *_UNREADABLE) as error:
            raise Unavailable(
                f"{operation} for {target}: {shortened(str(error))}, which is not CloudWatch Logs; "
                "check cloudwatch.endpoint_url and HTTPS_PROXY",
                reason="unexpected",
            ) from without_body(error)
        return reply

    async def current(self) -> Connection:
        """Opens the connection unless it is open. Raises PutError, for example Denied when there are no credentials."""
        async with self._opening:
            if self._connection is None:
                try:
                    async with asyncio.timeout(self._settings.timeout_seconds):
                        self._connection = await self._opened()
                except TimeoutError as error:
                    seconds = self._settings.timeout_seconds
                    raise Unavailable(f"no credentials within {seconds:g} s", reason="credentials") from error
                except _UNREADABLE as error:
                    raise Refused(
                        f"the AWS client cannot be opened: {shortened(str(error))}; "
                        "check the AWS_* variables and ~/.aws/config",
                        reason="settings",
                    ) from without_body(error)
            return self._connection

    async def renew(self) -> None:
        """The next call opens a new connection; calls under way end on the old one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.retired = True
            await connection.close_when_idle()

    @asynccontextmanager
    async def _borrowed(self) -> AsyncIterator[Connection]:
        connection = self._connection or await self.current()
        connection.calls += 1
        try:
            yield connection
        finally:
            connection.calls -= 1
            await connection.close_when_idle()

    async def _opened(self) -> Connection:
        session, self._first_session = self._first_session or AioSession(session_vars=_REGION), None
        # Parsing the models blocks the loop for about 150 ms (measured 2026-11), so later sessions share them.
        session.register_component("data_loader", self._models)
        session.set_config_variable("region", self.region)
        session.set_default_client_config(self._config)  # also for the STS clients of IRSA and role_arn
        credentials = await load_credentials(session, self._settings)
        recorder = SessionRecorder()
        stack = AsyncExitStack()
        try:
            client = await stack.enter_async_context(
                session.create_client(
                    "logs",
                    endpoint_url=self._settings.endpoint_url,
                    config=AioConfig(http_session_cls=recorder.session_class),
                )
            )
            check_answers_of(client)
            puts = await open_puts(client, recorder)
        except BaseException:
            await stack.aclose()
            raise
        return Connection(client, puts, credentials, session, stack)


def _region(settings: CloudWatch, session: AioSession) -> str:
    try:
        region = session.get_config_variable("region")
    except sdk.BotoCoreError as error:  # a missing profile, or a file that cannot be parsed
        raise SettingsError([f"AWS configuration: {error}; check AWS_PROFILE and ~/.aws/config"]) from error
    region = settings.region or region
    if not region:
        also = " (an endpoint_url does not say which region to sign for)" if settings.endpoint_url else ""
        raise SettingsError(
            [f"cloudwatch.region: no region is known{also}; set cloudwatch.region or AWS_REGION, for example eu-west-1"]
        )
    return str(region)


def _response_of(error: BaseException) -> Mapping[str, Any]:
    assert isinstance(error, sdk.ClientError)
    response: Mapping[str, Any] = error.response
    return response
