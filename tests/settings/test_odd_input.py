"""Odd configuration files and variables end as sentences, never as a traceback, and print no password."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from agent.core.redact import without_passwords
from agent.errors import SettingsError
from agent.settings import Settings, load_settings
from agent.settings.explain import leaves, printable

PATHS = [".".join(path) for path in leaves(Settings)]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -(10**400), 1 << 70]),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["", "\n", "\0", "1e400", "nan", "-1", "{", "{node", "{0}", "*", "\ud800", "a" * 10_000, "0x10"]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


def load(path: Path, **environ: str) -> list[str]:
    """The errors in this configuration; none when it is valid."""
    try:
        load_settings(environ, path)
    except SettingsError as error:
        return error.problems
    return []


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + level)}: &{chr(98 + level)} [{','.join([f'*{chr(97 + level)}'] * 10)}]\n" for level in range(9)
)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (BOMB.encode(), "its aliases expand to over"),
        (b"tail: &a [*a, *a]", "an alias contains itself"),
        (b"tail: " + b"[" * 60 + b"]" * 60, "nested more than 50 levels"),
        (b"tail: " + b"[" * 100_000, "nested more than 50 levels"),
        (b"tail: " + b"{a: " * 5_000, "nested more than 50 levels"),
        (b"cluster_name: \xff\xfe", "is not valid YAML"),
        (b"\x00", "is not valid YAML"),
        (b"http: {port: " + b"9" * 5_000 + b"}", "a value cannot be read"),
        (b"http: {port: 0x" + b"f" * 5_000 + b"}", "http.port = "),
        (b"cluster_name: 2026-13-45", "a value cannot be read"),
        (b"cluster_name: !!python/object/apply:os.system [id]", "is not valid YAML"),
        (b"cluster_name: !!int ''", "a value cannot be read"),
        (b"cluster_name: !!binary x", "is not valid YAML"),
        (b"? [a]\n: b", "is not valid YAML"),
        (b"a: 1\na: 2", "key 'a' appears twice"),
        (b"x" * 2_000_000, "is larger than"),
        (b"drain_seconds: 1.0e+400", "must be a finite number"),
        (b"drain_seconds: .nan", "must be a finite number"),
        (b"drain_seconds: -1", "must be at least 0"),
        (b"drain_seconds: 1.0e+300", "must be at most"),
        (b"memory_budget_bytes: 1" + b"0" * 400, "must be at most"),
        (b'node_name: "a\\nb"', "must not contain line breaks"),
        (b'state_dir: "/a\\0b"', "must not contain line breaks"),
        (b'tail: {paths: ["/a\\n"]}', "must not contain line breaks"),
        (b'cloudwatch: {tags: {"a\\n": b}}', "must not contain line breaks"),
        (b"? 0x" + b"f" * 5_000 + b"\n: 1", "is not a setting"),
        (b"? " + b"f" * 50_000 + b"\n: 1", "is not a setting"),
        (b'"a\\nb": 1', "is not a setting"),
    ],
    ids=lambda value: str(value[:24]) if isinstance(value, bytes) else "",
)
def test_an_odd_file_is_a_sentence(tmp_path, content, reason):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)

    problems = load(path)

    assert reason in "\n".join(problems)
    assert all("\n" not in problem and len(problem) < 4_000 for problem in problems)


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfcluster_name: prod\n", "cluster_name: prod\n".encode("utf-16")])
def test_a_byte_order_mark_is_accepted(tmp_path, content):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)

    assert load_settings({}, path).settings.cluster_name == "prod"


def test_an_alias_and_a_merge_are_accepted(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("tail: {paths: &p [/a, /b]}\nfalco: {drop_rules: *p}\n")

    assert load_settings({}, path).settings.falco.drop_rules == ["/a", "/b"]


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 5_000])
def test_an_impossible_file_name_is_a_sentence(name):
    with pytest.raises(SettingsError):
        load_settings({}, Path(name))


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.sampled_from(PATHS), VALUES)
@example("cloudwatch.log_group", "{node!r:{x}}")
@example("cloudwatch.retention_days", True)
def test_any_value_of_a_setting_is_accepted_or_a_sentence(tmp_path, dotted, value):
    section, _, key = dotted.rpartition(".")
    path = tmp_path / "config.yaml"
    try:
        path.write_text(yaml.safe_dump({section: {key: value}} if section else {key: value}))
    except (UnicodeEncodeError, ValueError):
        return  # YAML has no form for this value.

    for problem in load(path):
        assert "\n" not in problem.rstrip("\n")


@given(st.sampled_from(PATHS), st.text(max_size=30) | st.sampled_from(["[" * 5_000, "1" * 5_000, '{"a":' * 3_000]))
def test_any_text_in_a_variable_is_accepted_or_a_sentence(dotted, text):
    name = f"FALCOWATCH_{dotted.upper().replace('.', '__')}"
    with contextlib.suppress(SettingsError):
        load_settings({name: text})


@given(st.binary(max_size=200))
def test_any_file_is_accepted_or_a_sentence(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)

    load(path)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("http://user:pw@proxy:3128", "http://•••@proxy:3128"),
        ("'https://user:p/w#@proxy'", "'https://•••@proxy'"),
        ("HTTPS_PROXY=user:pw@proxy:3128", "HTTPS_PROXY=•••@proxy:3128"),
        ("https://token@host/path", "https://•••@host/path"),
        ("mail to someone@example.com", "mail to someone@example.com"),
        ("https://host:443/path", "https://host:443/path"),
    ],
)
def test_passwords_in_urls_are_masked(text, masked):
    assert without_passwords(text) == masked


def test_neither_the_table_nor_an_error_shows_a_secret(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(
        "cloudwatch: {endpoint_url: 'https://user:hunter2@host', external_id: [hunter2]}\n"
        "tail: {root: ['https://user:hunter2@host']}\n"
    )
    problems = load(path)
    valid = load_settings(
        {
            "FALCOWATCH_CLOUDWATCH__ENDPOINT_URL": "https://user:hunter2@host",
            "FALCOWATCH_CLOUDWATCH__EXTERNAL_ID": "hunter2",
        }
    )

    table = [printable(dotted, value) for dotted, value, _ in valid.rows()]

    assert len(problems) == 2
    assert "hunter2" not in "\n".join([*problems, *table])
    assert "https://•••@host" in table


PASSWORD = b"http: {port: https://user:hunter2@host}"


@pytest.mark.parametrize(
    ("command", "content"),
    [("run", b"\xff"), ("run", BOMB.encode()), ("run", PASSWORD), ("check", PASSWORD), ("dead-letters list", PASSWORD)],
)
def test_the_command_exits_2_with_sentences(tmp_path, command, content):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)

    done = subprocess.run(
        [sys.executable, "-m", "agent.cli", *command.split(), "--config", path],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr
    assert all(line.startswith("falcowatch: ") for line in done.stderr.splitlines())
    assert "hunter2" not in done.stderr
