"""Every mistake of a user is answered with a sentence and an exit code, never with a traceback."""

import asyncio
import json
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
        await cloudwatch.until(lambda: cloudwatch.count("falco", "node-a") >= 1)

    [logged] = running.logged("checkpoint was corrupt")
    assert (tmp_path / "state").joinpath(logged["kept_as"]).read_bytes() == b"\x00garbage"


async def test_check_begins_with_the_verdict_and_ends_with_the_configuration(tmp_path):
    (tmp_path / "pods").mkdir()
    async with EmbeddedCloudWatch() as cloudwatch:
        env = environment(tmp_path, cloudwatch.url, enrich__mode="none", cluster_name="prod")

        code, out, err = await falcowatch("check", env=env)

    assert code == 0, out
    lines = out.splitlines()
    assert lines[0] == "Ready, with 1 warning."
    assert lines[2].split()[0] == "warning", "findings stand before what is fine"
    assert out.count("  ok       ") == 5
    assert "  alerts, critical and above  /falco/prod  node-a/urgent" in lines
    assert "FALCOWATCH_TAIL__ROOT" in out
    assert "  tail.container " not in out, "it has its default"
    assert err == ""


async def test_check_names_first_what_fails(tmp_path):
    env = environment(tmp_path, "http://127.0.0.1:9", tail__root=str(tmp_path / "gone"), enrich__mode="none")

    code, out, _ = await falcowatch("check", env=env)

    assert code == 1
    lines = out.splitlines()
    assert lines[0] == "Not ready: 2 checks failed."
    assert [line.split(":")[0].split(maxsplit=1) for line in lines[2:4]] == [
        ["failed", "log files"],
        ["failed", "log group"],
    ]


async def test_check_prints_all_settings_as_people_write_them(tmp_path):
    env = environment(tmp_path, "http://127.0.0.1:9", enrich__mode="none", memory_budget_bytes="32MiB")

    code, out, _ = await falcowatch("check", "--all", env=env)

    assert code == 1
    table = {line.split()[0]: line.split()[1] for line in out.partition("Configuration")[2].splitlines()[1:]}
    assert len(table) > 50
    assert table["memory_budget_bytes"] == "32MiB"
    assert table["drain_seconds"] == "30s"
    assert table["cloudwatch.create"] == "true"
    assert table["enrich.annotations"] == "[]"
    assert "None" not in out
    assert "True" not in out


async def test_check_prints_one_json_object_for_programs(tmp_path):
    container(tmp_path)
    async with EmbeddedCloudWatch() as cloudwatch:
        env = environment(tmp_path, cloudwatch.url, enrich__mode="none", cloudwatch__external_id="secret-17")

        code, out, err = await falcowatch("check", "--json", env=env)

    report = json.loads(out)
    assert (code, err, report["ready"]) == (0, "", True)
    assert {check["name"]: check["outcome"] for check in report["checks"]}["log files"] == "ok"
    assert report["streams"][0] == {"records": "alerts", "log_group": "falco", "log_stream": "node-a"}
    values = {each["name"]: each["value"] for each in report["settings"]}
    assert values["heartbeat_seconds"] == 0
    assert values["cloudwatch.external_id"] == "•••"
    assert not any(each["default"] for each in report["settings"])


async def test_a_migrated_configuration_is_valid_for_check(tmp_path):
    source = tmp_path / "fluent-bit.conf"
    source.write_text("[INPUT]\n Name tail\n Path /x/falco\n[OUTPUT]\n Name cloudwatch\n Match *\n log_group_name /a\n")
    env = environment(tmp_path, "http://127.0.0.1:9", enrich__mode="none")
    code, ours, _ = await falcowatch("migrate", str(source), env=env)
    assert code == 0
    (tmp_path / "ours.yaml").write_text(ours)

    code, out, err = await falcowatch("check", "--config", str(tmp_path / "ours.yaml"), env=env)

    assert (code, err) == (1, ""), "no CloudWatch answers here, but the configuration is valid"
    assert "/a" in out


async def test_a_configuration_of_fluent_bit_that_cannot_be_read_is_refused_with_the_line(tmp_path):
    source = tmp_path / "fluent-bit.conf"
    source.write_text("[INPUT]\n  Name tail\n  Path\n")

    code, out, err = await falcowatch("migrate", str(source), env=environment(tmp_path, "http://127.0.0.1:9"))

    assert (code, out) == (2, "")
    assert err == "falcowatch: fluent-bit.conf:3: 'Path' has no value; write name and value with a space between them\n"


async def test_check_beside_a_running_agent_finds_nothing_wrong(tmp_path):
    container(tmp_path)
    async with EmbeddedCloudWatch() as cloudwatch, agent(tmp_path, cloudwatch.url) as running:
        await running.url()

        code, out, _ = await falcowatch("check", env=environment(tmp_path, cloudwatch.url, enrich__mode="none"))

    assert code == 0, out
    assert "locked by the agent that is running" in out


@pytest.mark.parametrize("command", ["run", "check", "demo", "cloudwatch", "dead-letters", "migrate"])
async def test_every_command_explains_itself(tmp_path, command):
    code, out, _ = await falcowatch(command, "--help", env=environment(tmp_path, "http://127.0.0.1:9"))

    assert code == 0
    assert out.startswith(f"usage: falcowatch {command}")


@pytest.mark.parametrize("command", ["run", "check", "dead-letters"])
async def test_the_help_names_the_default_configuration_file(tmp_path, command):
    _, out, _ = await falcowatch(command, "--help", env=environment(tmp_path, "http://127.0.0.1:9"))

    assert "/etc/falcowatch/config.yaml" in out
