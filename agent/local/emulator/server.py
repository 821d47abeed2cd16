"""The HTTP server: AWS's JSON 1.1 protocol on `POST /`, faults that are set, and control pages under `/_…`.

A put is performed in one synchronous step between reading the request and writing the response, so a cancelled or cut
connection never leaves half a batch. `operations`, `queries` and `kms` implement the operations.
"""

import asyncio
import socket
import struct
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qsl

import orjson
from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError

from agent.local.emulator import kms, sts
from agent.local.emulator.adversary import HostileAnswer
from agent.local.emulator.descriptions import Reply
from agent.local.emulator.faults import REFUSALS, Fault, FaultError, Faults, fault_of
from agent.local.emulator.operations import OPERATIONS, Operations
from agent.local.emulator.parameters import Parameters
from agent.local.emulator.queries import filter_log_events, get_log_events
from agent.local.emulator.replies import ServiceError, serialization
from agent.local.emulator.requests import RequestLog, RequestRecord
from agent.local.emulator.signature import caller_of
from agent.local.emulator.store import Store
from agent.local.emulator.streamlog import CorruptDataError

TARGET_PREFIX = "Logs_20140328."
MAX_BODY_BYTES = 16 * 1024 * 1024
"""JSON escapes can make 1 MiB of messages six times as long, and each of 10,000 events adds about 60 bytes of JSON."""
QUERIES = {"GetLogEvents": get_log_events, "FilterLogEvents": filter_log_events}


@dataclass(frozen=True, slots=True)
class Call:
    operation: str
    body: dict[str, object]
    region: str
    size: int

    def name(self, member: str) -> str | None:
        value = self.body.get(member)
        return value if isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class Answer:
    """The response. Status 0: the connection is cut instead."""

    status: int
    body: bytes = b""
    code: str | None = None
    events: int = 0
    fault: str | None = None
    hostile: HostileAnswer | None = None


CUT = Answer(status=0)


class Server:
    def __init__(
        self,
        store: Store,
        now: Callable[[], float],
        faults: Faults,
        requests: RequestLog,
        changed: Callable[[], None],
        *,
        sequence_tokens: bool,
    ) -> None:
        self._store = store
        self._now = now
        self._faults = faults
        self._requests = requests
        self._changed = changed
        self._operations = Operations(store, now, sequence_tokens=sequence_tokens)
        self._closing = asyncio.Event()

    def application(self) -> web.Application:
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.add_routes(
            [
                web.post("/", self._post),
                web.get("/_faults", self._show_faults),
                web.put("/_faults", self._set_faults),
                web.post("/_faults", self._set_faults),
                web.delete("/_faults", self._set_faults),
                web.get("/_requests", self._show_requests),
                web.delete("/_requests", self._forget_requests),
                web.get("/_stats", self._show_statistics),
            ]
        )
        return application

    def close(self) -> None:
        """Release all calls that a fault is holding, so that the server can stop."""
        self._closing.set()

    async def _post(self, request: web.Request) -> web.StreamResponse:
        request_id = str(uuid.uuid4())
        if request.content_type == "application/x-www-form-urlencoded":
            return await self._post_sts(request, request_id)
        operation, call, answer = _operation(request)[1], None, CUT
        try:
            call = await self._understood(request)
            answer = await self._answered(call)
        except ServiceError as error:
            answer = _refused(error)
        self._record(operation if call else "-", call, answer)
        if not answer.status:
            return _cut(request, orderly=answer.fault == "close")
        if answer.hostile is not None:
            return await self._sent_hostile(request, answer.hostile)
        return web.Response(
            status=answer.status,
            body=answer.body,
            headers={"x-amzn-RequestId": request_id, "Content-Type": "application/x-amz-json-1.1"},
        )

    async def _understood(self, request: web.Request) -> Call:
        body = await _read(request)
        headers = request.headers
        service, operation = _operation(request)
        caller = caller_of(headers.get("Authorization"), headers.get("X-Amz-Date"), service)
        known = kms.OPERATIONS if service == "kms" else {*OPERATIONS, *QUERIES}
        if operation not in known:
            raise ServiceError("UnknownOperationException", f"Unknown operation: {headers.get('X-Amz-Target', '')}")
        try:
            members = orjson.loads(body or b"{}")
        except orjson.JSONDecodeError as error:
            raise serialization(f"The body is not JSON: {error}") from error
        if not isinstance(members, dict):
            raise serialization("The body is not a structure")
        return Call(operation, members, caller.region, len(body))

    async def _answered(self, call: Call) -> Answer:
        fault = self._faults.decide(call.operation, call.name("logGroupName"), call.name("logStreamName"), self._now())
        if fault is None:
            return await self._performed(call)
        performed = await self._performed(call) if fault.accepted else None
        self._changed()
        try:
            return await self._misbehaved(call, fault, performed)
        except asyncio.CancelledError:  # the client closed the connection first
            self._record(call.operation, call, Answer(0, events=performed.events if performed else 0, fault=fault.kind))
            raise

    async def _misbehaved(self, call: Call, fault: Fault, performed: Answer | None) -> Answer:
        events = performed.events if performed else 0
        if fault.seconds:
            with suppress(TimeoutError):
                async with asyncio.timeout(fault.seconds):
                    await self._closing.wait()
        match fault.kind:
            case "slow":
                answer = performed or await self._performed(call)
                return Answer(answer.status, answer.body, answer.code, answer.events, fault.kind)
            case "hang":
                await self._closing.wait()
                return Answer(0, events=events, fault=fault.kind)
            case "reset" | "close":
                return Answer(0, events=events, fault=fault.kind)
            case _ if fault.hostile is not None:
                return Answer(fault.hostile.status, b"", fault.kind, events, fault.kind, fault.hostile)
            case _:
                refused = _refused(fault.error(call.operation))
                return Answer(refused.status, refused.body, refused.code, events, fault.kind)

    async def _sent_hostile(self, request: web.Request, hostile: HostileAnswer) -> web.StreamResponse:
        """Send the chunks until the body or the connection ends, or the server stops."""
        response = web.StreamResponse(status=hostile.status, headers=hostile.headers)
        with suppress(ConnectionError):
            await response.prepare(request)
            for chunk in hostile.chunks():
                if hostile.pause_seconds:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(hostile.pause_seconds):
                            await self._closing.wait()
                if self._closing.is_set():
                    break
                await response.write(chunk)
            else:
                await response.write_eof()
        return response

    async def _performed(self, call: Call) -> Answer:
        """Perform the operation: a put without yielding to the event loop, a search on another thread."""
        asked = Parameters(call.body)
        try:
            if call.operation in kms.OPERATIONS:
                return Answer(200, orjson.dumps(kms.answer(call.operation, call.body, call.region)))
            query = QUERIES.get(call.operation)
            if query is not None:
                work = query(self._store, asked, int(self._now() * 1000))
                return Answer(200, await asyncio.to_thread(lambda: orjson.dumps(work())))
            before = self._store.accepted_events
            reply: Reply = OPERATIONS[call.operation](self._operations, asked, call.region)
        except ServiceError as error:
            return _refused(error)
        except (OSError, CorruptDataError) as error:
            return _refused(ServiceError("ServiceUnavailableException", str(error), status=503))
        events = self._store.accepted_events - before
        return Answer(200, orjson.dumps(reply) if reply else b"", events=events)

    async def _post_sts(self, request: web.Request, request_id: str) -> web.StreamResponse:
        form = dict(parse_qsl((await request.read()).decode(errors="replace")))
        action = form.get("Action", "")
        status, code = 200, None
        try:
            key = ""
            if action not in sts.UNSIGNED:
                headers = request.headers
                key = caller_of(headers.get("Authorization"), headers.get("X-Amz-Date"), "sts").access_key
            fault = self._faults.decide(action, None, None, self._now())
            if fault is not None and fault.kind in REFUSALS:
                raise fault.error(action)
            if fault is not None and fault.hostile is not None:
                self._record(f"sts:{action}", None, Answer(fault.hostile.status, b"", fault.kind, fault=fault.kind))
                return await self._sent_hostile(request, fault.hostile)
            body = sts.answer(form, key, self._now(), request_id)
        except ServiceError as error:
            status, code = max(error.status, 403), error.code
            body = sts.refusal(error, request_id)
        self._record(f"sts:{action}" if code != sts.UNKNOWN else "-", None, Answer(status, body, code))
        return web.Response(status=status, body=body, content_type="text/xml", headers={"x-amzn-RequestId": request_id})

    def _record(self, operation: str, call: Call | None, answer: Answer) -> None:
        self._requests.add(
            RequestRecord(
                at=self._now(),
                operation=operation,
                group=call.name("logGroupName") if call else None,
                stream=call.name("logStreamName") if call else None,
                events=answer.events,
                bytes=call.size if call else 0,
                status=answer.status,
                code=answer.code if answer.status else "cut",
                fault=answer.fault,
            )
        )
        self._changed()

    async def _show_faults(self, request: web.Request) -> web.Response:
        return _json(self._faults.as_json())

    async def _set_faults(self, request: web.Request) -> web.Response:
        """PUT replaces the faults, POST adds, DELETE clears. The body is a fault or a list; `?seed=N` sets the seed."""
        if request.method == "DELETE":
            self._faults.clear()
            return _json([])
        try:
            values = orjson.loads(await request.read())
            faults = [fault_of(item) for item in (values if isinstance(values, list) else [values])]
            seed = int(request.query["seed"]) if "seed" in request.query else None
        except (FaultError, ValueError) as error:
            return _json({"error": str(error)}, status=400)
        if request.method == "PUT":
            self._faults.replace(*faults, seed=seed)
        else:
            self._faults.add(*faults)
        return _json(self._faults.as_json())

    async def _show_requests(self, request: web.Request) -> web.Response:
        return _json(self._requests.as_json())

    async def _forget_requests(self, request: web.Request) -> web.Response:
        self._requests.clear()
        return _json([])

    async def _show_statistics(self, request: web.Request) -> web.Response:
        groups = {
            group.name: {
                name: {"events": stream.log.events, "batches": stream.log.batches, "bytes": stream.log.message_bytes}
                for name, stream in group.streams.items()
            }
            for group in self._store.groups.values()
        }
        return _json({**self._requests.statistics(), "groups": groups})


def _operation(request: web.Request) -> tuple[str, str]:
    """The service and the operation that the request names; the whole target when it names none."""
    target = request.headers.get("X-Amz-Target", "")
    if target.startswith(kms.TARGET_PREFIX):
        return "kms", target.removeprefix(kms.TARGET_PREFIX)
    operation = target.removeprefix(TARGET_PREFIX)
    return "logs", "" if operation == target else operation


async def _read(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise ServiceError("RequestEntityTooLargeException", str(error), status=413) from error
    except (HttpProcessingError, ClientPayloadError, web.RequestPayloadError) as error:
        raise serialization(f"The body cannot be decoded: {error}") from error


def _refused(error: ServiceError) -> Answer:
    body = {"__type": error.code, "message": error.message, **error.fields}
    return Answer(error.status, orjson.dumps(body), error.code)


def _cut(request: web.Request, *, orderly: bool) -> web.Response:
    """Close the connection without a response. With SO_LINGER of 0 seconds the kernel sends RST instead of FIN."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        if connection is not None and not orderly:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response()


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(value), content_type="application/json")
