"""Plays one scenario: writes, disturbs the agent and CloudWatch, waits for the delivery, and proves the result."""

import asyncio
from pathlib import Path

from tests.faults.node import PATIENCE_SECONDS, Node, cloudwatch, first_file_is_open
from tests.faults.proof import prove, settled
from tests.faults.scenario import Outcome, Scenario


async def play(scenario: Scenario, place: Path) -> Outcome:
    """Play the scenario in an empty directory and prove its result."""
    place.mkdir(parents=True, exist_ok=True)
    outcome = Outcome()
    node = Node(place, scenario, outcome)
    async with cloudwatch(place / "cloudwatch") as endpoint:
        node.endpoint = endpoint
        node.writer.start()
        await node.start_agent()
        try:
            await first_file_is_open(node)
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(_write(node))
                tasks.create_task(_disturb_the_agent(node, writing))
                tasks.create_task(_disturb_cloudwatch(node, writing))
            await node.set_fault(None)
            try:
                await settled(node)
            except TimeoutError:
                outcome.problems.append(f"not settled after {PATIENCE_SECONDS:.0f} s: {await node.metrics()}"[:600])
            await node.terminate()
        finally:
            if node.agent is not None and node.agent.process.returncode is None:
                node.agent.process.kill()
                await node.agent.process.wait()
    await prove(node)
    return outcome


async def _write(node: Node) -> None:
    for _ in range(node.scenario.bursts):
        node.writer.burst(40)
        await asyncio.sleep(node.random.random() * 0.06)


async def _disturb_the_agent(node: Node, writing: asyncio.Task[None]) -> None:
    """Kill and terminate the agent in random order at random times, some of them after the last write."""
    actions = [node.kill] * node.scenario.kills + [node.terminate] * node.scenario.terminations
    node.random.shuffle(actions)
    for action in actions:
        # Otherwise the action may hit the agent while it starts.
        if node.agent is not None and node.random.random() < 0.8:
            await node.agent.url()
        pause = node.random.choice((0.1, 0.7, 1.0, 1.5, 2.5))
        await asyncio.sleep(pause * node.random.random())
        if writing.done():
            node.writer.burst(40)
        await action()
        if node.random.random() < 0.3:
            node.writer.burst(40)
        await node.start_agent()


async def _disturb_cloudwatch(node: Node, writing: asyncio.Task[None]) -> None:
    while node.scenario.cloudwatch_faults and not writing.done():
        await node.set_fault(node.random.choice(node.scenario.cloudwatch_faults))
        await asyncio.sleep(0.2 + node.random.random())
        if node.random.random() < 0.5:
            await node.set_fault(None)
            await asyncio.sleep(node.random.random() * 0.5)
