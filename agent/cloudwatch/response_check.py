"""Checks that an answer comes from CloudWatch Logs, and that its fields have the right types. Pure.

Answers are input like log lines. The login page of a proxy is a 200 too, and the SDK would take it for success; the
acknowledged events would be lost. So an answer with a 2xx status must be a JSON object as CloudWatch Logs sends it, and
an acknowledgement must have a request id or a known field. Of an error only the known text fields count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from agent.errors import shortened

_ERROR_FIELDS: Final = ("__type", "code", "Code", "message", "Message", "expectedSequenceToken")
_REPLY_FIELDS: Final = ("nextSequenceToken", "rejectedLogEventsInfo", "rejectedEntityInfo")
_LONGEST_TOKEN: Final = 4096
"""Characters of a sequence token. Those of CloudWatch Logs have 56."""
_INDICES: Final = ("tooOldLogEventEndIndex", "tooNewLogEventStartIndex", "expiredLogEventEndIndex")


class NotAnAnswer(Exception):
    """The answer does not come from CloudWatch Logs, or cannot be understood."""


def check_answers_of(client: Any) -> None:
    client.meta.events.register("before-parse.cloudwatch-logs", check_answer)


def check_answer(response_dict: dict[str, Any], **_: object) -> None:
    """Raises NotAnAnswer. Removes every part of an error that botocore could not parse or would quote."""
    status, body = response_dict["status_code"], response_dict["body"].strip()
    if status >= 300:
        response_dict["body"] = _known_error_fields(body)
        return
    kind = response_dict["headers"].get("content-type", "no content type")
    if "json" not in kind or (body and not (body.startswith(b"{") and body.endswith(b"}"))):
        raise NotAnAnswer(f"answered {status} with {len(body)} bytes of {shortened(kind, 100)}")


def token_or_none(token: object) -> str | None:
    """The sequence token, unless it cannot be one: the next request would carry it."""
    return token if isinstance(token, str) and len(token) <= _LONGEST_TOKEN else None


def parsed_reply(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of a successful PutLogEvents answer. Raises NotAnAnswer."""
    try:
        reply = orjson.loads(answer["body"])
    except orjson.JSONDecodeError as error:
        raise NotAnAnswer(f"answered {answer['status_code']} with a body that is not JSON") from error
    return check_reply(reply, answer["headers"])


def check_reply(reply: Any, headers: Mapping[str, str]) -> Mapping[str, Any]:
    """The same reply when it acknowledges a put. Raises NotAnAnswer."""
    if not isinstance(reply, dict):
        raise NotAnAnswer("acknowledged with JSON that is not an object")
    if not any(field in reply for field in _REPLY_FIELDS) and "x-amzn-requestid" not in headers:
        raise NotAnAnswer("answered 200 without a request id and without a field of PutLogEvents")
    _text_or_none(reply, "nextSequenceToken")
    rejected = _object_or_none(reply, "rejectedLogEventsInfo")
    for name in _INDICES:
        index = rejected.get(name)
        if index is not None and (type(index) is not int or index < 0):
            raise NotAnAnswer(f"answered with {name} that is not an index")
    _text_or_none(_object_or_none(reply, "rejectedEntityInfo"), "errorType")
    return reply


def _known_error_fields(body: bytes) -> bytes:
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        return b""
    if not isinstance(fields, dict):
        return b""
    return orjson.dumps({name: fields[name] for name in _ERROR_FIELDS if isinstance(fields.get(name), str)})


def _object_or_none(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise NotAnAnswer(f"answered with {name} that is not an object")
    return value


def _text_or_none(fields: Mapping[str, Any], name: str) -> None:
    if not isinstance(fields.get(name), str | None):
        raise NotAnAnswer(f"answered with {name} that is not a text")
