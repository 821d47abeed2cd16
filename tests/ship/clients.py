"""A client for an endpoint, as the agent would open it with these settings."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from agent.settings.model import CloudWatch
from agent.ship.cloudwatch import LogsClient, open_cloudwatch


class Endpoint(Protocol):
    @property
    def url(self) -> str: ...


def client_of(endpoint: Endpoint, **settings: object) -> AbstractAsyncContextManager[LogsClient]:
    return open_cloudwatch(CloudWatch.model_validate({"endpoint_url": endpoint.url, **settings}))
