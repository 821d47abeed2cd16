"""Sends PutLogEvents without the work that the SDK does around each call.

The SDK's client builds one PutLogEvents request when the connection opens. That request is kept and not sent. A put is
the kept request with its own body: it is signed by the client's signer and sent through the client's HTTP session,
which knows proxies, trusted certificates and the connection pool. So the bytes that are hashed, signed, sent and sent
again are the same. botocore does not validate the body, so `put_body` must keep it valid.

This uses parts of the SDK that are not documented, checked with the versions in CHECKED_WITH. When a part is missing or
behaves differently, `open_puts` and the first put that notices it fall back to the client's ordinary call.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Final

import orjson
from botocore.awsrequest import AWSPreparedRequest, AWSRequest
from botocore.exceptions import ClientError
from botocore.parsers import create_parser
from isal import isal_zlib
from msgspec import Struct

from agent.cloudwatch.http_session import BoundedSession
from agent.cloudwatch.put_body import is_compressed
from agent.cloudwatch.response_check import check_answer, check_reply, parsed_reply

CHECKED_WITH: Final = "aiobotocore 3.10, botocore 1.43.115 to 1.43.117"
"""pyproject.toml allows no newer versions; test_sdk_seams.py says which part a new version breaks."""

OPERATION: Final = "PutLogEvents"
_BEFORE_CALL: Final = f"before-call.cloudwatch-logs.{OPERATION}"
_SEAM_ERRORS: Final = (AttributeError, TypeError, KeyError, ValueError)
"""How Python reports that a part of the SDK is missing, or that its arguments have changed."""

log = logging.getLogger(__name__)


class SessionRecorder:
    """Makes the HTTP sessions of a client and remembers them; for `AioConfig(http_session_cls=…)`."""

    def __init__(self) -> None:
        sessions: list[BoundedSession] = []

        class Recorded(BoundedSession):
            def __init__(self, *arguments: Any, **named: Any) -> None:
                super().__init__(*arguments, **named)
                sessions.append(self)

        self.session_class = Recorded
        self._sessions = sessions

    @property
    def only_session(self) -> BoundedSession:
        [session] = self._sessions
        return session


class DirectPuts(Struct, frozen=True):
    """Sends the kept request with a new body and a new signature."""

    request: Mapping[str, Any]
    signer: Any
    model: Any
    session: BoundedSession

    async def put(self, body: bytes) -> Mapping[str, Any]:
        """The fields of the reply. Raises the errors of the SDK's client, and NotAnAnswer."""
        request = await self.signed(body)
        http = await self.session.send(AWSPreparedRequest("POST", request.url, request.headers, body, False))
        answer = {"status_code": http.status_code, "headers": http.headers, "body": await http.content}
        check_answer(answer)
        if http.status_code >= 300:
            raise ClientError(self._error(answer), OPERATION)
        return parsed_reply(answer)

    async def signed(self, body: bytes) -> AWSRequest:
        headers = dict(self.request["headers"])
        if is_compressed(body):
            headers["Content-Encoding"] = "gzip"
        request = AWSRequest("POST", self.request["url"], headers, body)
        signer = self.signer
        auth = await signer.get_auth_instance(signer.signing_name, signer.region_name, signer.signature_version)
        auth.add_auth(request)
        return request

    def _error(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """The code and message of an error, and the fields that belong to errors with this code."""
        parser = create_parser("json")
        error: dict[str, Any] = parser.parse(answer, self.model.output_shape)
        shape = self.model.service_model.shape_for_error_code(error.get("Error", {}).get("Code"))
        return error if shape is None else error | parser.parse(answer, shape)


class ClientPuts(Struct, frozen=True):
    """The ordinary call of the SDK's client. It decodes and encodes the body once more."""

    client: Any

    async def put(self, body: bytes) -> Mapping[str, Any]:
        parameters = orjson.loads(isal_zlib.decompress(body, 31) if is_compressed(body) else body)
        reply = await self.client.put_log_events(**parameters)
        return check_reply(reply, reply.get("ResponseMetadata", {}).get("HTTPHeaders", {}))


class GuardedPuts(Struct):
    """Sends directly, and through the client from the first put on for which the SDK's parts do not fit."""

    direct: DirectPuts | None
    ordinary: ClientPuts

    async def put(self, body: bytes) -> Mapping[str, Any]:
        if self.direct is not None:
            try:
                return await self.direct.put(body)
            except _SEAM_ERRORS as error:
                self.direct = None
                _log_fallback(error)
        return await self.ordinary.put(body)


async def open_puts(client: Any, recorder: SessionRecorder) -> GuardedPuts:
    """Has the client build one request, of which nothing is sent."""
    ordinary = ClientPuts(client)
    try:
        direct = await _captured(client, recorder.only_session)
    except _SEAM_ERRORS as error:
        _log_fallback(error)
        return GuardedPuts(None, ordinary)
    return GuardedPuts(direct, ordinary)


async def _captured(client: Any, session: BoundedSession) -> DirectPuts:
    captured: list[DirectPuts] = []

    def capture(
        params: Mapping[str, Any], request_signer: Any, model: Any, **_: object
    ) -> tuple[Any, Mapping[str, Any]]:
        captured.append(DirectPuts(params, request_signer, model, session))
        return SimpleNamespace(status_code=200), {}  # botocore takes this as the answer and sends nothing

    events = client.meta.events
    events.register_last(_BEFORE_CALL, capture)
    try:
        await client.put_log_events(logGroupName="-", logStreamName="-", logEvents=())
    finally:
        events.unregister(_BEFORE_CALL, capture)
    [direct] = captured
    return direct


def _log_fallback(error: Exception) -> None:
    log.warning(
        "puts go through the ordinary call of the SDK, which costs more CPU; this SDK version is not a checked one",
        extra={"checked_with": CHECKED_WITH, "why": f"{type(error).__name__}: {error}"},
    )
