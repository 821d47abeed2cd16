"""`falcowatch demo` on real processes: the audit proves it, also under fire, and a removed stream is not proved."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent.cli import main
from agent.local.agent_process import environment_of
from agent.local.audited import audit_group
from agent.local.chaos import SCRIPT, Script
from agent.local.demo import GROUP, DemoOptions, demonstrate
from agent.local.emulator import EmbeddedCloudWatch

FAST = Script(tuple(replace(step, at=step.at / 10) for step in SCRIPT.steps), SCRIPT.writing_seconds / 10, 1_000)


async def audited(place: Path) -> int:
    async with EmbeddedCloudWatch(place / "cloudwatch") as cloudwatch:
        return (await audit_group(GROUP, environment_of(place, cloudwatch.url, place / "pods.json"))).exit_code


async def test_the_demo_ends_with_the_audit_and_fails_it_when_a_stream_is_removed(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "a profile of the user that does not exist")
    place = tmp_path / "demo"

    await demonstrate(DemoOptions(alerts=300, rate=3_000, keep=place))

    lines = capsys.readouterr().out.splitlines()
    assert "The agent has stopped. Audit: falcowatch audit --group /falco/demo" in lines
    row = next(line for line in lines if line.startswith("demo "))
    assert row.split()[1] == "proved"
    assert row.split()[4:6] == ["300", "0"]
    assert "Proved from CloudWatch alone: every alert is there, unchanged, and none is forged." in lines
    assert await audited(place) == 0

    urgent = next(path for path in (place / "cloudwatch").rglob("*urgent*"))
    urgent.unlink()

    assert await audited(place) == 1


async def test_the_chaos_is_proved_and_each_step_is_one_line(tmp_path, capsys):
    await demonstrate(DemoOptions(alerts=1, rate=200, chaos=FAST, keep=tmp_path / "demo"))

    lines = capsys.readouterr().out.splitlines()
    for step in SCRIPT.steps:
        assert sum(step.text in line for line in lines) == 1, step.text
    assert any("the Critical has arrived" in line for line in lines)
    assert "Proved from CloudWatch alone: every alert is there, unchanged, and none is forged." in lines
    assert "  lost                  0" in lines
    assert any("The agent was killed or crashed, and started again." in line for line in lines)
    assert [*(tmp_path / "demo" / "pods").rglob("*.gz")]


@pytest.mark.parametrize("option", [["--alerts", "5"], ["--seconds", "5"]])
def test_the_length_of_the_chaos_cannot_be_chosen(option, capsys):
    assert main(["demo", "--chaos", *option]) == 2
    assert capsys.readouterr().err == (
        "falcowatch: demo: --chaos takes as long as its script; leave out --alerts and --seconds\n"
    )
