"""The state directory and the process: damaged checkpoints, a replaced directory, signals, one file under two names."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import orjson

from agent.audit.kinds import Kind
from tests.faults.isolation.arrivals import alert_lines, arrivals, numbered_alert
from tests.faults.isolation.result import IsolationScenario, Result, variants
from tests.faults.isolation.stage import Stage, stage
from tests.process.driver import environment


async def a_damaged_checkpoint_loses_nothing_without_a_gap(place: Path, damage: str) -> Result:
    """Both checkpoint files are damaged while the agent is stopped, and the log is rotated once meanwhile."""
    result = Result()
    live = place / "logs" / "falco.log"
    live.parent.mkdir(parents=True)
    async with stage(place) as node:
        settings: Any = {"tail__root": "", "tail__paths": f'["{live}"]'}
        async with node.running(**settings):
            node.append(*(numbered_alert(number) + b"\n" for number in range(50)), path=live)
            await _arrived(node, 50)
            await node.agent.terminate()
        node.append(*(numbered_alert(number) + b"\n" for number in range(50, 100)), path=live)
        live.rename(live.with_name("falco.log.1"))
        node.append(*(numbered_alert(number) + b"\n" for number in range(100, 150)), path=live)
        for path in (place / "state").glob("checkpoint*"):
            match damage:
                case "torn":
                    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
                case "empty":
                    path.write_bytes(b"")
                case _:
                    path.write_bytes(b'{"version": 1, "files": []}')
        async with node.running(**settings):
            await _arrived(node, 150, 8.0)
            await node.agent.terminate()
    found = await arrivals(place)
    missing = found.missing(range(150))
    result.measured |= {"missing": len(missing), "gaps": len(found.gaps)}
    if missing:
        found.expect_gap(result)
    return result


async def a_checkpoint_of_a_newer_version_is_refused_with_a_sentence(place: Path) -> Result:
    result = Result()
    async with stage(place) as node:
        async with node.running():
            node.append(*alert_lines(range(5)))
            await _arrived(node, 5)
            await node.agent.terminate()
        path = place / "state" / "checkpoint.json"
        checkpoint = orjson.loads(path.read_bytes())
        for each in (place / "state").glob("checkpoint*"):
            each.write_bytes(orjson.dumps(checkpoint | {"version": 999}))
        async with node.running(started=False) as agent:
            try:
                async with asyncio.timeout(10):
                    code = await agent.process.wait()
            except TimeoutError:
                code = 0
            log = agent.log_path.read_text()
    result.measured["code"] = code
    result.expect(code != 0, "the agent runs on, with a checkpoint that it cannot understand")
    result.expect("Traceback" not in log, f"a traceback instead of a sentence: {log[-300:]}")
    result.expect("999" in log or "newer" in log, f"no sentence names the version: {log[-300:]}")
    return result


async def a_state_directory_that_was_replaced_is_noticed(place: Path) -> Result:
    """Somebody removes the state directory and a second agent starts on a new one: one of the two must give way."""
    result = Result()
    async with stage(place) as node, node.running() as first:
        node.append(*alert_lines(range(5)))
        await _arrived(node, 5)
        shutil.rmtree(place / "state")
        await asyncio.sleep(1.0)
        async with Stage(place, node.endpoint).running(started=False) as second:
            await asyncio.sleep(8.0)
            alive = [agent for agent in (first, second) if agent.process.returncode is None]
            ready = [(await agent.get("/readyz"))[0] for agent in alive]
            result.measured |= {"alive": len(alive), "readyz": str(ready)}
            result.expect(ready.count(200) <= 1, "two agents run on one directory, and both say they are ready")
    return result


async def a_signal_drains_the_agent(place: Path, name: str) -> Result:
    result = Result()
    async with stage(place) as node:
        async with node.running() as agent:
            await agent.url()
            node.append(*alert_lines(range(2_000)))
            await asyncio.sleep(1.5)
            agent.process.send_signal(getattr(signal, name))
            async with asyncio.timeout(20):
                code = await agent.process.wait()
            result.measured["code"] = code
            result.expect(code == 0, f"exit code {code} after {name}")
        before = await node.all_arrived()
        async with node.running():
            await _arrived(node, 2_000)
            await node.until_settled(10.0)
    found = await arrivals(place)
    found.expect_all(result, range(2_000))
    twice = sum(count - 1 for count in found.counts.values())
    result.measured |= {"before": before, "duplicates": twice}
    result.expect(not twice, f"{twice} alerts were sent again after a drain")
    return result


async def one_file_under_two_names_is_shipped_once_or_refused(place: Path) -> Result:
    """`tail.paths` names links in the manner of /var/log/containers, beside `tail.root` with their targets."""
    result = Result()
    links = place / "containers"
    links.mkdir(parents=True)
    async with stage(place) as node:
        settings: Any = {"tail__paths": f'["{links}/*.log"]', "tail__follow_links_into": f'["{place / "pods"}"]'}
        node.append(*alert_lines(range(50)))
        (links / "falco-x_falco_falco-1.log").symlink_to(node.live)
        async with node.running(**settings):
            await _arrived(node, 50)
            await asyncio.sleep(3.0)
            refused = not node.is_alive or (await node.agent.get("/readyz"))[0] != 200
    found = await arrivals(place)
    copies = sum(found.counts.values())
    result.measured |= {"copies": copies, "refused": str(refused)}
    result.expect(copies <= 50 or refused, f"50 alerts arrived {copies} times")
    return result


async def check_never_prints_a_password_of_a_url(place: Path) -> Result:
    result = Result()
    place.mkdir(parents=True, exist_ok=True)
    (place / "pods").mkdir()
    url = "http://user:hunter2@127.0.0.1:9"
    variables = environment(place, url) | {"HTTPS_PROXY": url, "HTTP_PROXY": url}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent.cli", "check"),
        env=variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    result.expect(b"hunter2" not in output, "check prints the password")
    result.expect(b"Traceback" not in output, "check ends in a traceback")
    return result


async def _arrived(node: Stage, count: int, seconds: float = 20.0) -> bool:
    async def reached() -> bool:
        return await node.all_arrived() >= count

    return await node.until(reached, seconds)


SCENARIOS: tuple[IsolationScenario, ...] = (
    *variants(
        a_damaged_checkpoint_loses_nothing_without_a_gap,
        ("torn", "empty", "of wrong types"),
        audit_finds=frozenset({Kind.CHAIN_RESTARTED}),
    ),
    IsolationScenario(a_checkpoint_of_a_newer_version_is_refused_with_a_sentence),
    IsolationScenario(
        a_state_directory_that_was_replaced_is_noticed,
        audit_finds=frozenset({Kind.CHAIN_RESTARTED, Kind.HEARTBEAT_FORGED}),
    ),
    *variants(a_signal_drains_the_agent, ("SIGTERM", "SIGINT", "SIGHUP")),
    IsolationScenario(one_file_under_two_names_is_shipped_once_or_refused),
    IsolationScenario(check_never_prints_a_password_of_a_url),
)
