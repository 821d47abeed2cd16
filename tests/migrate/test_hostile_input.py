"""Whatever a configuration contains, the result is a valid configuration of ours or a sentence with file and line."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.errors import SettingsError
from agent.migrate import migrated
from agent.migrate.rules.cloudwatch import CLOUDWATCH
from agent.migrate.rules.filters import FILTERS
from agent.migrate.rules.kubernetes import KUBERNETES
from agent.migrate.rules.service import SERVICE
from agent.migrate.rules.tail import TAIL
from agent.settings import load_settings

RULES = [CLOUDWATCH, KUBERNETES, SERVICE, TAIL, *FILTERS.values()]
KEYS = sorted({key for rules in RULES for key in (*rules.by_key, *(f"{prefix}x" for prefix in rules.by_prefix))})
PLUGINS = ["tail", "kubernetes", "cloudwatch", "cloudwatch_logs", "grep", "lua", "x\x1b[2J", "es", *FILTERS]
VALUES = st.one_of(
    st.text(st.characters(exclude_characters="\n\r"), max_size=40),
    st.sampled_from(
        [
            "*", "falco.*", "/var/log/containers/*.log", "/var/log/falco/a.json", "On", "Off", "5", "-1", "1e999",
            "${CLUSTER_NAME}", "${HOST_NAME}", "${X:-${Y}}", "{{ .Values.x }}", "$kubernetes['a']['b']", "{cluster}",
            "{", "}", "priority (Critical", "rule ^a|b$", "a=b,c", "arn:aws:iam::1:role/x", "\x1b]0;x\x07", "#",
            "\u202e", "9" * 400, "---", "...", "*/", "x: y # z",
        ]
    ),
)  # fmt: skip
LINES = st.one_of(
    st.sampled_from(["[SERVICE]", "[INPUT]", "[FILTER]", "[OUTPUT]", "[PARSER]", "[x", "  [g]", "@SET A=b", "", "#"]),
    st.tuples(st.just("  Name"), st.sampled_from(PLUGINS)).map(" ".join),
    st.tuples(st.sampled_from(["  ", "\t"]), st.sampled_from(KEYS), st.just(" "), VALUES).map("".join),
    VALUES,
)

NAMES = st.sampled_from(
    ["pipeline", "inputs", "outputs", "filters", "name", "service", "env", "includes", "<<", "kind", "data", *KEYS]
)


def is_fine(path, tmp_path):
    problems: list[str] = []
    try:
        text = migrated(str(path), {"CLUSTER_NAME": "prod"})
    except SettingsError as error:
        problems = error.problems
    if problems:
        assert all(re.match(rf"{re.escape(path.name)}(:\d+)?: ", problem) for problem in problems), problems
        return
    assert all(char == "\n" or char.isprintable() for char in text)
    (tmp_path / "ours.yaml").write_text(text)
    load_settings({}, tmp_path / "ours.yaml")


@given(st.lists(LINES, max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_any_classic_text_becomes_a_valid_configuration_or_a_sentence(tmp_path, lines):
    path = tmp_path / "fluent-bit.conf"
    path.write_bytes("\n".join(["[INPUT]", "  Name tail", "  Path /x/falco", *lines]).encode(errors="replace"))

    is_fine(path, tmp_path)


@given(st.recursive(VALUES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_any_yaml_becomes_a_valid_configuration_or_a_sentence(tmp_path, value):
    import json

    path = tmp_path / "fluent-bit.yaml"
    path.write_bytes(json.dumps(value, ensure_ascii=False).encode(errors="replace"))

    is_fine(path, tmp_path)


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_become_a_sentence(tmp_path, content):
    path = tmp_path / "fluent-bit.conf"
    path.write_bytes(content)

    is_fine(path, tmp_path)


def test_a_value_cannot_end_its_comment(migrate):
    evil = "x\x0blog: {level: debug}\x85http: {port: 1}\u2028tail: {}"
    result = migrate(f"[INPUT]\n  Name tail\n  Path /x/falco\n  Key {evil}\n".replace("\x0b", "\x1f"))

    assert result.settings == {"tail.paths": ["/x/falco"]}


@pytest.mark.parametrize(
    ("path", "words"),
    [("/dev/zero", "is not a file"), ("/nowhere", "cannot be read (No such file"), ("/", "is not a file")],
)
def test_a_path_that_is_no_configuration_is_refused(path, words):
    with pytest.raises(SettingsError, match=re.escape(words)):
        migrated(path, {})
