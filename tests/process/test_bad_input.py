"""Every mistake of a user is answered with a sentence and an exit code, never with a traceback."""

import asyncio
import sys

import pytest

from agent.local.emulator import EmbeddedCloudWatch
from tests.process.driver import PATIENCE_SECONDS, agent, alert, append, container, cri, environment


async def falcowatch(*arguments, env):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agent.cli",
        *arguments,
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        out, err = await process.communicate()
    assert b"Traceback" not in err
    return process.returncode, out.decode(), err.decode()


async def test_every_wrong_setting_is_named_at_once_and_the_exit_code_is_2(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("tail:\n  scan_seconds: soon\n  rooot: /x\n")
    env = environment(tmp_path, "no url", falco__minimum_priority="loud")

    code, _, err = await falcowatch("run", "--config", str(config), env=env)

    assert code == 2
    assert "tail.scan_seconds = 'soon'" in err
    assert "tail.rooot" in err
    assert "cloudwatch.endpoint_url = 'no url'" in err
    assert "FALCOWATCH_FALCO__MINIMUM_PRIORITY" in err


async def test_an_unwritable_state_directory_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    env = environment(tmp_path, "http://127.0.0.1:9", state_dir=str(tmp_path / "file" / "state"))

    code, _, err = await falcowatch("run", env=env)

    assert code == 1
    assert str(tmp_path / "file" / "state") in err


async def test_a_second_agent_on_the_same_state_directory_is_refused(tmp_path):
    async with EmbeddedCloudWatch() as cloudwatch, agent(tmp_path, cloudwatch.url) as first:
        await first.url()

        code, _, err = await falcowatch("run", env=environment(tmp_path, cloudwatch.url))

    assert code == 1
    assert "another falcowatch holds it" in err


async def test_a_port_in_use_is_named(tmp_path):
    async with EmbeddedCloudWatch() as cloudwatch:
        env = environment(tmp_path, cloudwatch.url, http__port=str(cloudwatch.port))

        code, _, err = await falcowatch("run", env=env)

    assert code == 1
    assert str(cloudwatch.port) in err


async def test_a_missing_region_is_named_with_its_remedy(tmp_path):
    env = environment(tmp_path, "http://127.0.0.1:9")
    del env["AWS_REGION"]

    code, _, err = await falcowatch("run", env=env)

    assert code == 2
    assert "AWS_REGION" in err


async def test_a_missing_log_root_turns_readiness_red_and_is_waited_for(tmp_path):
    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        agent(tmp_path, cloudwatch.url, tail__root=str(tmp_path / "later")) as running,
    ):
        status, body = await running.get("/readyz")
        assert status == 503
        assert str(tmp_path / "later") in body

        directory = tmp_path / "later" / container(tmp_path).relative_to(tmp_path / "pods")
        directory.mkdir(parents=True)
        append(directory / "0.log", cri(alert(1)))

        async with asyncio.timeout(PATIENCE_SECONDS):
            await cloudwatch.until(lambda: cloudwatch.count("falco") == 1)


async def test_a_corrupt_checkpoint_is_kept_aside_and_the_files_are_read_again(tmp_path):
    append(container(tmp_path) / "0.log", cri(alert(1)))
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "checkpoint.json").write_bytes(b"\x00garbage")

    async with (
        EmbeddedCloudWatch(data_dir=tmp_path / "cloudwatch") as cloudwatch,
        agent(tmp_path, cloudwatch.url) as running,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        await cloudwatch.until(lambda: cloudwatch.count("falco") == 1)

    [logged] = running.logged("checkpoint was corrupt")
    assert (tmp_path / "state").joinpath(logged["kept_as"]).read_bytes() == b"\x00garbage"


async def test_check_prints_what_took_effect_and_probes_everything(tmp_path):
    container(tmp_path)
    async with EmbeddedCloudWatch() as cloudwatch:
        env = environment(tmp_path, cloudwatch.url, enrich__mode="none")

        code, out, _ = await falcowatch("check", env=env)

    assert code == 0, out
    assert "FALCOWATCH_TAIL__ROOT" in out
    assert out.count("ok    ") == 5


async def test_check_beside_a_running_agent_finds_nothing_wrong(tmp_path):
    container(tmp_path)
    async with EmbeddedCloudWatch() as cloudwatch, agent(tmp_path, cloudwatch.url) as running:
        await running.url()

        code, out, _ = await falcowatch("check", env=environment(tmp_path, cloudwatch.url, enrich__mode="none"))

    assert code == 0, out
    assert "locked by the agent that is running" in out


@pytest.mark.parametrize("command", ["run", "check", "demo", "cloudwatch", "dead-letters"])
async def test_every_command_explains_itself(tmp_path, command):
    code, out, _ = await falcowatch(command, "--help", env=environment(tmp_path, "http://127.0.0.1:9"))

    assert code == 0
    assert out.startswith(f"usage: falcowatch {command}")
