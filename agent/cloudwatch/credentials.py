"""Credentials: the SDK's chain, with `cloudwatch.role_arn` assumed on top of it in the same session.

Promises that whatever goes wrong on the way to usable credentials is told apart from faults of CloudWatch, names the
provider that was tried and says what to do. When they are renewed is the SDK's business: by time, at use.
"""

from __future__ import annotations

from typing import Any

from aiobotocore.credentials import (
    AioAssumeRoleCredentialFetcher,
    AioCredentialResolver,
    AioDeferredRefreshableCredentials,
)
from botocore import exceptions as sdk

from agent.cloudwatch.error_map import FOREIGN_ERRORS, put_error, without_body
from agent.errors import Denied, PutError, Unavailable
from agent.settings.model import CloudWatch

ROLE_SESSION_NAME = "falcowatch"

_FAILURES = (*FOREIGN_ERRORS, OSError, RuntimeError, ValueError, KeyError)
"""What providers let through beside the SDK's own errors: a token file that is not there (OSError), credentials that
are already expired when renewed (RuntimeError), files that are not what they should be (ValueError, KeyError)."""

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
    """Assumes the configured role with what the rest of the chain finds; first call at use, renewed by time."""

    METHOD = "assume-role"
    CANONICAL_NAME = None

    def __init__(self, session: Any, chain: AioCredentialResolver, settings: CloudWatch) -> None:
        self._session = session
        self._chain = chain
        self._settings = settings

    async def load(self) -> Any:
        source = await self._chain.load_credentials()
        if source is None:
            return None
        arguments = {"RoleSessionName": ROLE_SESSION_NAME}
        if self._settings.external_id:
            arguments["ExternalId"] = self._settings.external_id
        fetcher = AioAssumeRoleCredentialFetcher(
            client_creator=self._session.create_client,
            source_credentials=source,
            role_arn=self._settings.role_arn,
            extra_args=arguments,
        )
        return AioDeferredRefreshableCredentials(fetcher.fetch_credentials, self.METHOD)


async def load_credentials(session: Any, settings: CloudWatch) -> Any:
    """The credentials of the first provider that has some. Raises Denied or Unavailable."""
    chain = session.get_component("credential_provider")
    if settings.role_arn is not None:
        session.register_component(
            "credential_provider", AioCredentialResolver([RoleProvider(session, chain, settings)])
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
    """The keys to sign with now, renewed when it is time. Raises Denied or Unavailable."""
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
            return Unavailable(f"credentials from {shown} cannot be had now: {cause}", reason="credentials")
        return Denied(f"credentials from {shown} were refused: {cause}; {remedy}", reason=cause.reason)
    said = str(error) or type(error).__name__
    return Denied(f"credentials from {shown} cannot be used: {said}; {remedy}", reason="credentials")


def _provider_in(error: Exception) -> str | None:
    provider = error.kwargs.get("provider") if isinstance(error, sdk.BotoCoreError) else None
    return str(provider) if provider else None
