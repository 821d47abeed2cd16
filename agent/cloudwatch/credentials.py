"""Credentials: the chain of the SDK, with the role of `cloudwatch.role_arn` assumed on top of it.

An error on the way to credentials is different from an error of CloudWatch: it names the provider and says what to do.
The SDK renews credentials when they are used and expire soon.

The renewal of the role uses a class of aiobotocore that is not documented (AioDeferredRefreshableCredentials), checked
with the versions in CHECKED_WITH. When it no longer fits, the role is assumed once for each connection. Expired keys
then cause Denied, after which the shipper opens a new connection.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from botocore import exceptions as sdk

from agent.cloudwatch.error_map import FOREIGN_ERRORS, put_error, without_body
from agent.cloudwatch.sdk_import import credentials as sdk_credentials
from agent.errors import Denied, PutError, Unavailable, shortened
from agent.settings.model import CloudWatch

ROLE_SESSION_NAME: Final = "falcowatch"

CHECKED_WITH: Final = "aiobotocore 3.10"
"""pyproject.toml allows no newer versions; test_sdk_seams.py says which part a new version breaks."""

_SEAM_ERRORS: Final = (AttributeError, TypeError)
"""How Python reports that a part of the SDK is missing, or that its arguments have changed."""

log = logging.getLogger(__name__)

_FAILURES = (*FOREIGN_ERRORS, OSError, RuntimeError, ValueError, KeyError)
"""Errors of providers beside the SDK's own: a missing token file (OSError), credentials that are already expired when
they are renewed (RuntimeError), and files with wrong content (ValueError, KeyError)."""

_REMEDIES = {
    "env": "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN",
    "assume-role": "check cloudwatch.role_arn, external_id and the role's trust policy",
    "assume-role-with-web-identity": (
        "check the service account's eks.amazonaws.com/role-arn annotation and the role's trust policy"
    ),
    "container-role": "check the EKS Pod Identity association and its agent on this node",
    "iam-role": "check the node's instance profile and the hop limit of IMDSv2 (2 for pods)",
    "shared-credentials-file": "check ~/.aws/credentials and AWS_PROFILE",
    "config-file": "check ~/.aws/config and AWS_PROFILE",
    "sso": "run aws sso login",
}
_GENERAL_REMEDY = "give the pod a role (EKS Pod Identity or IRSA), or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


class RoleProvider:
    """Assumes the configured role with the credentials that the rest of the chain finds."""

    METHOD = "assume-role"
    CANONICAL_NAME = None

    def __init__(self, session: Any, chain: Any, settings: CloudWatch) -> None:
        self._session = session
        self._chain = chain
        self._settings = settings

    async def load(self) -> Any:
        source = await self._chain.load_credentials()
        if source is None:
            return None

        async def assume() -> Mapping[str, str]:
            return await self._assume_role(source)

        try:
            return _renewed_when_used(assume, self.METHOD)
        except _SEAM_ERRORS as error:
            log.warning(
                "the assumed role is not renewed ahead of time; this SDK version is not a checked one",
                extra={"checked_with": CHECKED_WITH, "why": f"{type(error).__name__}: {error}"},
            )
            keys = await assume()
            return sdk_credentials.AioCredentials(
                keys["access_key"], keys["secret_key"], keys["token"], method=self.METHOD
            )

    async def _assume_role(self, source: Any) -> Mapping[str, str]:
        arguments = {"RoleArn": self._settings.role_arn, "RoleSessionName": ROLE_SESSION_NAME}
        if self._settings.external_id:
            arguments["ExternalId"] = self._settings.external_id
        keys = await source.get_frozen_credentials()
        async with self._session.create_client(
            "sts",
            aws_access_key_id=keys.access_key,
            aws_secret_access_key=keys.secret_key,
            aws_session_token=keys.token,
        ) as sts:
            found = (await sts.assume_role(**arguments))["Credentials"]
        return {
            "access_key": found["AccessKeyId"],
            "secret_key": found["SecretAccessKey"],
            "token": found["SessionToken"],
            "expiry_time": found["Expiration"].isoformat(),
        }


def _renewed_when_used(fetch: Callable[[], Awaitable[Mapping[str, str]]], method: str) -> Any:
    return sdk_credentials.AioDeferredRefreshableCredentials(fetch, method)


async def load_credentials(session: Any, settings: CloudWatch) -> Any:
    """The credentials of the first provider in the chain that has some. Raises Denied or Unavailable."""
    chain = session.get_component("credential_provider")
    if settings.role_arn is not None:
        session.register_component(
            "credential_provider", sdk_credentials.AioCredentialResolver([RoleProvider(session, chain, settings)])
        )
    try:
        credentials = await session.get_credentials()
    except _FAILURES as error:
        raise _credentials_error(error, provider=_provider_in(error)) from without_body(error)
    if credentials is None:
        tried = ", ".join(provider.METHOD for provider in chain.providers if provider.METHOD)
        raise Denied(f"no AWS credentials found (tried {tried}); {_GENERAL_REMEDY}", reason="no_credentials")
    return credentials


async def renewed(credentials: Any) -> Any:
    """The keys to sign with now, renewed when they expire soon. Raises Denied or Unavailable."""
    try:
        return await credentials.get_frozen_credentials()
    except _FAILURES as error:
        raise _credentials_error(error, provider=credentials.method) from without_body(error)


def _credentials_error(error: Exception, *, provider: str | None) -> PutError:
    shown = provider or "the credentials chain"
    remedy = _REMEDIES.get(provider or "", _GENERAL_REMEDY)
    if isinstance(error, sdk.ClientError | sdk.HTTPClientError | sdk.ConnectionError | TimeoutError):
        cause = put_error(error, operation="credentials", target=shown)
        if not isinstance(cause, Denied):
            return Unavailable(f"credentials from {shown} are not available now: {cause}", reason="credentials")
        return Denied(f"credentials from {shown} were refused: {cause}; {remedy}", reason=cause.reason)
    said = shortened(str(error)) or type(error).__name__
    return Denied(f"credentials from {shown} cannot be used: {said}; {remedy}", reason="credentials")


def _provider_in(error: Exception) -> str | None:
    provider = error.kwargs.get("provider") if isinstance(error, sdk.BotoCoreError) else None
    return str(provider) if provider else None
