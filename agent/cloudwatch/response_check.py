"""A watch on what answers: a login page of a proxy is a 200 too, and the SDK takes it for success.

Events that such an answer acknowledged would be lost. So a 2xx must be JSON, as CloudWatch Logs answers it; of any
other status without a JSON object only the status counts.
"""

from __future__ import annotations

from typing import Any


class NotAnAnswer(Exception):
    """Something answered, and it is not CloudWatch Logs."""


def refuse_what_is_no_answer(client: Any) -> None:
    client.meta.events.register("before-parse.cloudwatch-logs", check_answer)


def check_answer(response_dict: dict[str, Any], **_: object) -> None:
    """Raises NotAnAnswer; of an error only the status is left when it says no more."""
    body = response_dict["body"].strip()
    is_object = body.startswith(b"{") and body.endswith(b"}")
    if response_dict["status_code"] >= 300:
        if not is_object:
            response_dict["body"] = b""  # botocore would fail on other JSON, or quote a page
        return
    kind = response_dict["headers"].get("content-type", "no content type")
    if "json" not in kind or (body and not is_object):
        raise NotAnAnswer(f"answered {response_dict['status_code']} with {len(body)} bytes of {kind}")
