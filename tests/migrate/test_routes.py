"""Which sections Falco's alerts pass, and which settings select Falco's files."""

from __future__ import annotations

import pytest

OUTPUT = (
    "[OUTPUT]\n  Name cloudwatch_logs\n  Match {match}\n  log_group_name {group}\n  log_stream_name ${{HOSTNAME}}\n"
)


def tail(path: str, tag: str = "falco.*", more: str = "") -> str:
    return f"[INPUT]\n  Name tail\n  Path {path}\n  Tag {tag}\n{more}"


@pytest.mark.parametrize(
    ("path", "settings"),
    [
        ("/var/log/containers/falco*.log", {}),
        ("/var/log/containers/*.log", {}),
        ("/var/log/containers/falco-*_falco_falco-*.log", {}),
        ("/var/log/containers/*_falco_*.log", {}),
        ("/var/log/containers/falco-*_security_falco-*.log", {"tail.namespace": "security"}),
        ("/var/log/containers/my-falco*.log", {"tail.pod": "my-falco*"}),
        ("/var/log/pods/security_*/falco/*.log", {"tail.namespace": "security"}),
        ("/var/log/pods/*falco*/*/*.log", {}),
        ("/var/log/pods/falco_sensor-*_*/sensor/*.log", {"tail.pod": "sensor-*", "tail.container": "sensor"}),
        ("/var/lib/docker/containers/*/*.log", {"tail.follow_links_into": ["/var/lib/docker/containers"]}),
        ("/var/log/falco/events*.json", {"tail.paths": ["/var/log/falco/events*.json"]}),
        (
            "/var/log/falco/a.json, /opt/falco/b.json",
            {"tail.paths": ["/var/log/falco/a.json", "/opt/falco/b.json"]},
        ),
    ],
)
def test_the_path_becomes_the_selection_of_falcos_files(migrate, path, settings):
    result = migrate(tail(path))

    assert {key: value for key, value in result.settings.items() if key.startswith("tail.")} == settings
    assert "No tail input reads Falco's log" not in result.todo


@pytest.mark.parametrize("path", ["/var/log/containers/falco*.log", "/var/log/containers/*.log"])
def test_a_path_without_a_namespace_is_a_question_to_the_user(migrate, path):
    assert "if Falco runs in another namespace, set tail.namespace" in migrate(tail(path)).todo


def test_the_paths_of_several_inputs_are_added(migrate):
    result = migrate(tail("/var/log/falco/a.json") + tail("/var/log/falco/b.json"))

    assert result.settings["tail.paths"] == ["/var/log/falco/a.json", "/var/log/falco/b.json"]
    assert "2 inputs read Falco's log" in result.todo


@pytest.mark.parametrize(
    ("sections", "reason"),
    [
        (tail("/var/log/messages"), "[INPUT] tail: its path does not match Falco's files"),
        (
            tail("/var/log/containers/*.log", more="  Exclude_Path /var/log/containers/falco*\n"),
            "[INPUT] tail: Exclude_Path excludes Falco's files",
        ),
        ("[INPUT]\n  Name systemd\n  Tag a\n", "[INPUT] systemd: it does not read log files of containers"),
    ],
)
def test_without_an_input_that_reads_falcos_log_the_defaults_are_named(migrate, sections, reason):
    result = migrate(sections)

    assert "No tail input reads Falco's log" in result.todo
    assert reason in result.left


@pytest.mark.parametrize("match", ["*", "falco.*", "falco.**", "falco.var.log.*", "*falco-*.log", "f*o.*"])
def test_an_output_is_found_by_the_tag(migrate, match):
    result = migrate(tail("/var/log/containers/falco*.log") + OUTPUT.format(match=match, group="g"))

    assert result.settings["cloudwatch.log_group"] == "g"


@pytest.mark.parametrize("match", ["kube.*", "falco", "falco.[v]*", "falco.?ar.*"])
def test_an_output_of_another_tag_is_left_to_fluent_bit(migrate, match):
    result = migrate(tail("/var/log/containers/falco*.log") + OUTPUT.format(match=match, group="g"))

    assert "cloudwatch.log_group" not in result.settings
    assert "[OUTPUT] cloudwatch_logs: Falco's tag does not match" in result.left


def test_an_output_without_a_match_is_not_used(migrate):
    result = migrate(tail("/x/falco") + "[OUTPUT]\n  Name cloudwatch_logs\n")

    assert "it has no Match, so Fluent Bit does not use it" in result.left


def test_a_regular_expression_of_the_configuration_is_not_run(migrate):
    evil = "(a*)*$" * 20
    result = migrate(
        tail("/x/falco", "a" * 60 + "!")
        + "[OUTPUT]\n  Name cloudwatch_logs\n  log_group_name g\n"
        + f"  Match_Regex {evil}\n"
    )

    assert result.settings["cloudwatch.log_group"] == "g"


def test_the_output_for_falco_is_preferred_and_the_other_one_announced(migrate):
    result = migrate(
        tail("/var/log/containers/*.log", "kube.*")
        + OUTPUT.format(match="*", group="everything")
        + OUTPUT.format(match="*", group="/security/falco")
    )

    assert result.settings["cloudwatch.log_group"] == "/security/falco"
    assert "a second CloudWatch output (log group 'everything') gets Falco's alerts, too" in result.todo


def test_a_rewritten_tag_is_followed_and_announced(migrate):
    result = migrate(
        tail("/var/log/containers/falco*.log", "kube.*")
        + "[FILTER]\n  Name rewrite_tag\n  Match kube.*\n  Rule $priority ^Critical$ critical.$TAG[1] false\n"
        + OUTPUT.format(match="critical.*", group="urgent")
    )

    assert result.settings["cloudwatch.log_group"] == "urgent"
    assert "A rewrite_tag filter changes tags" in result.todo
    assert "the filter rewrite_tag sends some alerts another way" in result.todo
