"""An HTTP server that keeps each request's bytes and answers by a script: what the embedded one never says."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson
from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

JSON = "application/x-amz-json-1.1"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int = 200
    body: bytes = b'{"nextSequenceToken":"1"}'
    kind: str = JSON
    cut: bool = False
    location: str = ""

    @classmethod
    def error(cls, code: str, *, status: int = 400, **fields: object) -> "Answer":
        return cls(status, orjson.dumps({"__type": code, **fields}))


@dataclass(frozen=True, slots=True)
class Request:
    headers: Mapping[str, str]
    body: bytes

    def signature_is_valid(self, url: str, secret: str) -> bool:
        """SigV4 computed once more from what came over the wire."""
        authorization = self.headers["Authorization"]
        scope = authorization.partition("Credential=")[2].split(",")[0].split("/")
        signed = authorization.partition("SignedHeaders=")[2].split(",")[0].split(";")
        request = AWSRequest("POST", f"{url}/", {name: self.headers[name] for name in signed}, self.body)
        request.context["timestamp"] = self.headers["X-Amz-Date"]
        auth = SigV4Auth(Credentials(scope[0], secret), "logs", scope[2])
        computed = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
        return authorization.endswith(f"Signature={computed}")


@dataclass(slots=True)
class ScriptedEndpoint:
    """Answers with `script`, one after the other, and then for ever with `otherwise`."""

    script: list[Answer] = field(default_factory=list)
    otherwise: Answer = Answer()
    requests: list[Request] = field(default_factory=list)
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(Request(request.headers.copy(), await request.read()))
        answer = self.script.pop(0) if self.script else self.otherwise
        if answer.cut and request.transport is not None:
            request.transport.abort()
        headers = {"Content-Type": answer.kind} | ({"Location": answer.location} if answer.location else {})
        return web.Response(status=answer.status, body=answer.body, headers=headers)


@asynccontextmanager
async def scripted_endpoint(
    *script: Answer, make: type[ScriptedEndpoint] = ScriptedEndpoint
) -> AsyncIterator[ScriptedEndpoint]:
    endpoint = make(list(script))
    application = web.Application(client_max_size=16 * 1024 * 1024, handler_args={"auto_decompress": False})
    application.router.add_route("*", "/{path:.*}", endpoint.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        endpoint.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield endpoint
    finally:
        await runner.cleanup()
