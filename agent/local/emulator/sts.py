"""The part of STS (query protocol) that credential probes and assumed roles need."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import escape

from agent.local.emulator.descriptions import ACCOUNT
from agent.local.emulator.replies import ServiceError

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
ASSUMED_KEY = "ASIAFALCOWATCHLOCAL0"
UNKNOWN = "InvalidAction"
UNSIGNED = frozenset({"AssumeRoleWithWebIdentity"})


def answer(form: Mapping[str, str], access_key: str, now: float, request_id: str) -> bytes:
    """The reply to GetCallerIdentity, AssumeRole or AssumeRoleWithWebIdentity. Raises ServiceError otherwise."""
    action = form.get("Action", "")
    if action == "GetCallerIdentity":
        role = access_key == ASSUMED_KEY
        who = "sts::{}:assumed-role/falcowatch/local" if role else "iam::{}:user/falcowatch"
        result = (
            f"<Arn>arn:aws:{who.format(ACCOUNT)}</Arn><UserId>{escape(access_key)}</UserId><Account>{ACCOUNT}</Account>"
        )
    elif action in ("AssumeRole", "AssumeRoleWithWebIdentity"):
        name = escape(form.get("RoleSessionName", "local"))
        expires = datetime.fromtimestamp(now, UTC) + timedelta(hours=1)
        result = (
            f"<Credentials><AccessKeyId>{ASSUMED_KEY}</AccessKeyId><SecretAccessKey>local</SecretAccessKey>"
            f"<SessionToken>local</SessionToken><Expiration>{expires:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials>"
            f"<AssumedRoleUser><AssumedRoleId>AROALOCAL:{name}</AssumedRoleId>"
            f"<Arn>arn:aws:sts::{ACCOUNT}:assumed-role/falcowatch/{name}</Arn></AssumedRoleUser>"
        )
    else:
        raise ServiceError(UNKNOWN, f"Could not find operation {action}")
    return _document(f"{action}Response", f"<{action}Result>{result}</{action}Result>", request_id)


def refusal(error: ServiceError, request_id: str) -> bytes:
    body = f"<Error><Type>Sender</Type><Code>{error.code}</Code><Message>{escape(error.message)}</Message></Error>"
    return f'<ErrorResponse xmlns="{NAMESPACE}">{body}<RequestId>{request_id}</RequestId></ErrorResponse>'.encode()


def _document(name: str, result: str, request_id: str) -> bytes:
    metadata = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
    return f'<{name} xmlns="{NAMESPACE}">{result}{metadata}</{name}>'.encode()
