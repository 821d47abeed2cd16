"""`falcowatch fleet` as a user runs it: real agents, an embedded CloudWatch, the table on the screen."""

import asyncio
import json

import orjson
import pytest

from agent.cli import main
from agent.local.emulator import EmbeddedCloudWatch
from tests.process.driver import PATIENCE_SECONDS, agent, alert, append, container, cri


@pytest.fixture
async def cloudwatch(tmp_path):
    async with EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as endpoint:
        yield endpoint


@pytest.fixture
def aws(cloudwatch, monkeypatch, tmp_path):
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLEEXAMPLE00",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "eu-west-1",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "FALCOWATCH_CLOUDWATCH__ENDPOINT_URL": cloudwatch.url,
    }.items():
        monkeypatch.setenv(name, value)


async def fleet(*arguments):
    """In a thread, because the command has an event loop of its own and the endpoint needs this one."""
    return await asyncio.to_thread(main, ["fleet", "--group", "falco", *arguments])


def heartbeats(cloudwatch):
    return [event for event in cloudwatch.events("falco") if orjson.loads(event.message)["source"] == "falcowatch"]


async def test_each_node_is_a_line_and_a_node_without_falco_needs_a_person(tmp_path, cloudwatch, aws, capsys):
    well, blind = tmp_path / "well", tmp_path / "blind"
    well.mkdir()
    blind.mkdir()
    append(container(well) / "0.log", *(cri(alert(number)) for number in range(30)))
    settings = {"heartbeat_seconds": "0.3", "falco__missing_seconds": "1"}
    async with (
        agent(well, cloudwatch.url, node_name="node-well", **settings) as one,
        agent(blind, cloudwatch.url, node_name="node-blind", **settings) as two,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        await cloudwatch.until(
            lambda: any(b'"Falco: none' in e.message or b'"none"' in e.message for e in heartbeats(cloudwatch))
        )
        await cloudwatch.until(lambda: any(b'"books.shipped":30' in event.message for event in heartbeats(cloudwatch)))
        assert await fleet("--json") == 1
        nodes = {node["node"]: node for node in json.loads(capsys.readouterr().out)["nodes"]}
        assert (nodes["node-well"]["needs_a_person"], nodes["node-well"]["window"]["shipped"]) == (False, 30)
        assert nodes["node-blind"]["findings"][0] == {"text": "Falco: none", "needs_a_person": True}

        assert await fleet() == 1
        shown = capsys.readouterr().out.splitlines()
        assert shown[0].split()[:3] == ["node", "heard", "version"]
        assert [line.split()[0] for line in shown[1:3]] == ["node-blind", "node-well"]
        assert "node-blind: Falco: none" in shown
        await one.terminate()
        await two.terminate()

    assert await fleet("--expected", "2") == 1
    assert "missing: 2 fewer than --expected says" in capsys.readouterr().out


async def test_nobody_heard_and_nobody_expected_needs_a_person(cloudwatch, aws, capsys):
    assert await fleet("--expected", "1") == 1

    assert "falco" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--since", "soon"], ["--expected", "0"], ["--expected", "many"]])
def test_wrong_arguments_end_with_2(wrong, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["fleet", "--group", "falco", *wrong])

    assert ended.value.code == 2
    assert wrong[0] in capsys.readouterr().err
