"""The report of `falcowatch check`: verdict, order, streams, and values as people write them."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from agent.check import Probe, as_json, lines, report_of
from agent.settings import load_settings
from agent.settings.explain import printable, shown

FINE = Probe("log files", True, "2 in /var/log/pods")
WARNING = Probe("falco", False, "silent: for 20 min", required=False)
FAILED = Probe("state directory", False, "/x: Read-only file system")


def report(*probes: Probe, strict: bool = False, **environ: str):
    return report_of(
        load_settings({f"FALCOWATCH_{name}": value for name, value in environ.items()}), probes, strict=strict
    )


def text(of, *, every_setting: bool = False) -> str:
    return "\n".join(line.plain for line in lines(of, every_setting=every_setting))


@pytest.mark.parametrize(
    ("probes", "strict", "ready", "verdict"),
    [
        ([FINE, FINE], False, True, "Ready: all 2 checks passed."),
        ([FINE, WARNING], False, True, "Ready, with 1 warning."),
        ([FINE, WARNING], True, False, "Not ready: 1 warning (with --strict a warning counts)."),
        ([FAILED, FINE], False, False, "Not ready: 1 check failed."),
        ([FAILED, FAILED, WARNING, WARNING], True, False, "Not ready: 2 checks failed and 2 warnings."),
    ],
)
def test_the_verdict_is_one_sentence(probes, strict, ready, verdict):
    found = report(*probes, strict=strict)

    assert (found.ready, found.verdict) == (ready, verdict)
    assert text(found).startswith(verdict)


def test_what_fails_stands_first_and_what_is_fine_last():
    found = report(FINE, WARNING, FAILED)

    assert [probe.name for _, probe in found.checks] == ["state directory", "falco", "log files"]


def test_the_names_of_group_and_streams_are_resolved():
    found = report(FINE, CLUSTER_NAME="prod", NODE_NAME="n1", FALCO__URGENT_PRIORITY="error")

    assert [(target.records, target.group, target.stream) for target in found.targets] == [
        ("alerts", "/falco/prod", "n1"),
        ("alerts, error and above", "/falco/prod", "n1/urgent"),
        ("lines that are not alerts", "/falco/prod", "n1/falco-log"),
    ]


def test_a_namespace_that_is_a_glob_stays_a_field_of_the_name():
    found = report(FINE, TAIL__NAMESPACE="falco-*", CLOUDWATCH__LOG_GROUP="/f/{namespace}", FALCO__OTHER_LINES="drop")

    assert [target.group for target in found.targets] == ["/f/{namespace}", "/f/{namespace}"]


def test_only_settings_that_differ_are_shown_unless_all_are_asked_for():
    found = report(FINE, HTTP__PORT="9801", LOG__LEVEL="debug")

    short, long = text(found), text(found, every_setting=True)
    assert "Configuration: 1 of " in short
    assert "log.level  debug  FALCOWATCH_LOG__LEVEL" in short
    assert "http.port" not in short
    assert "Configuration: all " in long
    assert "FALCOWATCH_HTTP__PORT" in long


def test_a_configuration_of_defaults_says_so():
    assert "settings have their defaults (--all shows them)" in text(report(FINE))


def test_secrets_and_passwords_are_not_printed():
    found = report(
        Probe("x", True, "http://me:hunter2@host"),
        CLOUDWATCH__EXTERNAL_ID="hunter2",
        CLOUDWATCH__ENDPOINT_URL="http://me:hunter2@host",
    )

    assert "hunter2" not in text(found)
    assert b"hunter2" not in as_json(found, every_setting=True)


def test_json_has_values_of_their_types():
    document = orjson.loads(as_json(report(FINE, WARNING), every_setting=True))

    values = {each["name"]: each["value"] for each in document["settings"]}
    assert values["memory_budget_bytes"] == 16_777_216
    assert values["cloudwatch.region"] is None
    assert values["cloudwatch.tags"] == {}
    assert values["tail.root"] == "/var/log/pods"
    assert [check["outcome"] for check in document["checks"]] == ["warning", "ok"]


@pytest.mark.parametrize(
    ("dotted", "value", "written"),
    [
        ("memory_budget_bytes", 16 * 2**20, "16MiB"),
        ("memory_budget_bytes", 16_000_001, "16000001"),
        ("drain_seconds", 30.0, "30s"),
        ("cloudwatch.linger_seconds", 0.5, "500ms"),
        ("falco.silent_seconds", 0.0, "0s"),
        ("cloudwatch.max_puts_per_second", 5.0, "5"),
        ("cloudwatch.create", True, "true"),
        ("cloudwatch.region", None, "not set"),
        ("cluster_name", "", "not set"),
        ("tail.follow_links_into", [Path("/a")], '["/a"]'),
        ("cloudwatch.tags", {"a": "b"}, '{"a": "b"}'),
        ("cloudwatch.external_id", "17", "•••"),
        ("cloudwatch.external_id", None, "not set"),
    ],
)
def test_a_value_is_printed_as_people_write_it(dotted, value, written):
    assert printable(dotted, value) == written


def test_a_value_in_a_message_is_not_a_python_word():
    assert [shown(value) for value in (None, True, False, "x", 5)] == ["null", "true", "false", "'x'", "5"]
