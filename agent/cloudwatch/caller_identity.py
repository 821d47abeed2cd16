"""Who AWS thinks we are: the provider of the credentials and their owner; for `falcowatch check`."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from msgspec import Struct

from agent.cloudwatch.connection import Connection, Connector
from agent.cloudwatch.credentials import renewed
from agent.cloudwatch.error_map import FOREIGN_ERRORS
from agent.errors import PutError, shortened

STS_SECONDS = 5.0

AWS_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".amazonwebservices.com.cn")
"""Endpoints of AWS end in these, also in other partitions and in a VPC (botocore's endpoints.json, read 2026-11)."""


class CallerIdentity(Struct, frozen=True):
    provider: str
    """botocore's name for the source of the credentials: env, assume-role-with-web-identity, container-role …"""
    access_key: str
    """Its first four and last four characters."""
    region: str
    endpoint: str
    arn: str | None
    """The ARN that STS returns; None when STS did not answer."""
    why_no_arn: str | None = None


async def identify(connector: Connector) -> CallerIdentity:
    """Raises PutError when there are no usable credentials. When STS cannot be reached, the ARN is None."""
    connection = await connector.current()
    keys = await renewed(connection.credentials)
    arn, why_not = await _arn(connection)
    return CallerIdentity(
        provider=connection.credentials.method or "unknown",
        access_key=_masked(keys.access_key),
        region=connector.region,
        endpoint=connection.client.meta.endpoint_url,
        arn=arn,
        why_no_arn=why_not,
    )


async def _arn(connection: Connection) -> tuple[str | None, str | None]:
    try:
        async with asyncio.timeout(STS_SECONDS), connection.session.create_client("sts") as sts:
            if not _is_aws(connection.client.meta.endpoint_url) and _is_aws(sts.meta.endpoint_url):
                # The keys for an endpoint that is not AWS's may be invented, so AWS is not asked about them.
                return None, "cloudwatch.endpoint_url is not AWS, and AWS_ENDPOINT_URL_STS names no STS beside it"
            return shortened(str((await sts.get_caller_identity())["Arn"])), None
    except (*FOREIGN_ERRORS, PutError) as error:
        return None, f"STS: {shortened(str(error)) or type(error).__name__}"


def _masked(access_key: str) -> str:
    return f"{access_key[:4]}…{access_key[-4:]}" if len(access_key) >= 16 else "…"


def _is_aws(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host.endswith(AWS_DOMAINS)
