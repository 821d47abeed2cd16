"""Checks that an answer comes from CloudWatch Logs.

The login page of a proxy is a 200 too, and the SDK would take it for success; the acknowledged events would be lost. So
an answer with a 2xx status must be JSON, as CloudWatch Logs sends it. Of an error without a JSON object only the status
counts.
"""

from __future__ import annotations

from typing import Any


class NotAnAnswer(Exception):
    """The answer does not come from CloudWatch Logs."""


def check_answers_of(client: Any) -> None:
    client.meta.events.register("before-parse.cloudwatch-logs", check_answer)


def check_answer(response_dict: dict[str, Any], **_: object) -> None:
    """Raises NotAnAnswer. Removes the body of an error when it is not a JSON object."""
    body = response_dict["body"].strip()
    is_object = body.startswith(b"{") and body.endswith(b"}")
    if response_dict["status_code"] >= 300:
        if not is_object:
            response_dict["body"] = b""  # botocore would fail on other JSON, or quote a web page
        return
    kind = response_dict["headers"].get("content-type", "no content type")
    if "json" not in kind or (body and not is_object):
        raise NotAnAnswer(f"answered {response_dict['status_code']} with {len(body)} bytes of {kind}")
