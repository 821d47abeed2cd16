"""Compares the log group's settings with the configuration every few hours; reports a difference, never changes one."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Final

from msgspec.structs import asdict

from agent.cloudwatch.client import LogsClient
from agent.errors import PutError
from agent.settings import CloudWatch
from agent.telemetry import Telemetry

COMPARE_SECONDS: Final = 6 * 3600.0
"""The wait varies by half, because all nodes of a fleet start together and an account may call DescribeLogGroups ten
times a second."""

log = logging.getLogger(__name__)


async def watch_drift(settings: CloudWatch, client: LogsClient, group: str, telemetry: Telemetry) -> None:
    """Until cancelled. Returns at once when the configuration sets nothing that could differ.

    Needs logs:DescribeLogGroups, which nothing else in the agent needs: without it the metric stays absent.
    """
    configured = (settings.retention_days, settings.log_class, settings.kms_key_id, settings.deletion_protection)
    while any(setting is not None for setting in configured):
        try:
            drift = await client.drift(group)
        except PutError as error:
            log.debug("log group could not be compared", extra={"group": group, "why": str(error)})
        else:
            telemetry.settings_drift.clear()
            for found in drift:
                telemetry.settings_drift.labels(found.setting).set(1)
                log.warning("log group differs from the configuration", extra={"group": group, **asdict(found)})
        await asyncio.sleep(COMPARE_SECONDS * random.uniform(0.5, 1.5))
