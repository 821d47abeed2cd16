"""Settings of the log group that differ from the configuration are reported."""

from pathlib import Path

from agent.core.values import Lane
from agent.local.emulator import EmbeddedCloudWatch, Fault
from agent.selfmonitor.drift import watch_drift
from agent.selfmonitor.events import OwnEvent
from tests.selfmonitor.whole_agent import built, running, until


async def test_a_group_that_differs_from_the_configuration_is_reported(tmp_path: Path) -> None:
    async with EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch:
        plain = {"endpoint_url": cloudwatch.url, "region": "eu-central-1"}
        async with built(tmp_path, "", cloudwatch=plain) as agent, running(agent.parts.shipper.run()):
            agent.parts.outbox.publish(OwnEvent("heartbeat", "Informational", "", {}, Lane.ROUTINE))
            await agent.parts.shipper.drain()
        async with (
            built(tmp_path, "", cloudwatch=plain | {"retention_days": 7}) as agent,
            running(
                watch_drift(
                    agent.parts.settings.cloudwatch, agent.parts.client, agent.parts.group, agent.parts.telemetry
                )
            ),
        ):
            await until(lambda: agent.parts.telemetry.value("settings_drift", setting="retention_days"))


async def test_a_group_that_may_not_be_described_is_left_alone(tmp_path: Path) -> None:
    async with EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch:
        cloudwatch.faults.add(Fault("denied", operation="DescribeLogGroups"))
        plain = {"endpoint_url": cloudwatch.url, "region": "eu-central-1", "retention_days": 7}
        async with (
            built(tmp_path, "", cloudwatch=plain) as agent,
            running(
                watch_drift(
                    agent.parts.settings.cloudwatch, agent.parts.client, agent.parts.group, agent.parts.telemetry
                )
            ),
        ):
            await until(lambda: cloudwatch.requests.count("DescribeLogGroups"))

        assert agent.parts.telemetry.total("settings_drift") == 0
