"""A client for an endpoint, as the agent would open it with these settings."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from agent.cloudwatch.client import LogsClient, open_cloudwatch
from agent.settings.model import CloudWatch


class Endpoint(Protocol):
    @property
    def url(self) -> str: ...


def client_of(endpoint: Endpoint, **settings: object) -> AbstractAsyncContextManager[LogsClient]:
    return open_cloudwatch(CloudWatch.model_validate({"endpoint_url": endpoint.url, **settings}))
