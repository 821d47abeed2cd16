"""The YAML format and ConfigMaps: values as they are written, and a sentence for what cannot be read."""

from __future__ import annotations

import pytest

DOUBLING = "".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)},*{chr(97 + n)}]\n" for n in range(20))
PIPELINE = """
pipeline:
  inputs:
    - name: tail
      path: [/var/log/containers/falco-*_falco_falco-*.log, /var/log/messages]
      tag: falco
  outputs:
    - {name: cloudwatch_logs, match: '*', region: eu-west-1, log_group_name: 'GROUP'}
"""


def test_a_pipeline_is_read_with_the_lines_of_its_options(migrate):
    result = migrate(PIPELINE)

    assert result.settings == {"cloudwatch.region": "eu-west-1", "cloudwatch.log_group": "GROUP"}
    assert "5: path /var/log/containers/falco-*_falco_falco-*.log, /var/log/messages" in result.text


def test_values_are_taken_as_they_are_written(migrate):
    result = migrate(PIPELINE.replace("GROUP", "0123"))

    assert result.settings["cloudwatch.log_group"] == "0123"


@pytest.mark.parametrize(
    "form", ["env: {G: /g}", "env:\n  - {name: G, value: /g}\n  - {name: S, uri: file:///etc/passwd}"]
)
def test_variables_of_the_file_win_over_the_environment(migrate, form):
    result = migrate(f"{form}\n{PIPELINE.replace('GROUP', '${G}')}", G="not this")

    assert result.settings["cloudwatch.log_group"] == "/g"


def test_other_files_are_included(migrate, tmp_path):
    (tmp_path / "more.yaml").write_text(PIPELINE)

    assert migrate("includes:\n  - more.yaml\nservice:\n  flush: 1\n").settings["cloudwatch.log_group"] == "GROUP"


def test_merge_keys_and_aliases_are_followed(migrate):
    text = PIPELINE.replace("{name: cloudwatch_logs,", "{<<: *base,").replace(
        "pipeline:", "x: &base\n  name: cloudwatch_logs\n  log_retention_days: 30\npipeline:", 1
    )

    assert migrate(text).settings["cloudwatch.retention_days"] == 30


def test_a_config_map_with_one_key_of_any_name_is_read(migrate):
    body = "".join(f"    {line}\n" for line in PIPELINE.splitlines())
    text = f"apiVersion: v1\nkind: ConfigMap\ndata:\n  settings: |\n{body}"

    assert migrate(text).settings["cloudwatch.log_group"] == "GROUP"


def test_standard_input_is_read(tmp_path):
    import subprocess
    import sys

    command = [sys.executable, "-m", "agent.cli", "migrate", "-"]
    done = subprocess.run(command, input=PIPELINE, capture_output=True, text=True, check=True, cwd=tmp_path)

    assert 'log_group: "GROUP"' in done.stdout


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("pipeline: [", "fluent-bit.conf:1: is not valid YAML (expected the node content"),
        ("pipeline:\n  - a\n", "fluent-bit.conf:2: pipeline must be a mapping of names and values"),
        ("pipeline:\n  inputs:\n    - tail\n", "fluent-bit.conf:3: must be a mapping with the options of one input"),
        ("service: 5\n", "fluent-bit.conf:1: a section must be a mapping of names and values"),
        ("service: {flush: 1}\n---\n- c\n", "fluent-bit.conf:3: is not a configuration of Fluent Bit"),
        ("a: b\n", "fluent-bit.conf:1: is not a configuration of Fluent Bit, which has the keys env, includes"),
        ("image: {}\nservice: {extraService: x}\ncloudWatchLogs: {}\n", "use `helm template … | falcowatch migrate -`"),
        ("includes: [gone.yaml]\n", "fluent-bit.conf:1: includes 'gone.yaml', which is not here"),
        ("x: \x01\n", "fluent-bit.conf:1: is not valid YAML (it contains characters that YAML does not allow)"),
        ("a: &a [*a]\n", "is nested more than 40 levels deep, or contains itself"),
        ("a: " + "[" * 300 + "]" * 300, "is nested more than 40 levels deep"),
        ("a: " + "[" * 30_000, "is nested more than 40 levels deep"),
        ("a: &a [x,x]\n" + DOUBLING,
         "its aliases expand to over 100000 values"),
        ("kind: ConfigMap\napiVersion: v1\ndata: {a: x, b: y}\n",
         "fluent-bit.conf:1: no ConfigMap has the key fluent-bit.conf or fluent-bit.yaml; the keys are a, b"),
        ("kind: ConfigMap\napiVersion: v1\ndata: {fluent-bit.conf: '[INPUT', parsers.conf: ''}\n",
         "fluent-bit.conf:1: "),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_refused_with_file_and_line(refused, text, problem):
    assert problem in refused(text)


def test_a_chart_that_helm_renders_is_read(migrate):
    body = "".join(f"    {line}\n" for line in PIPELINE.splitlines())
    text = (
        "kind: ServiceAccount\napiVersion: v1\nmetadata: {name: fluent-bit}\n---\n# Source: a template\n---\n"
        f"apiVersion: v1\nkind: ConfigMap\ndata:\n  parsers.conf: ''\n  fluent-bit.yaml: |\n{body}"
    )

    assert migrate(text).settings["cloudwatch.log_group"] == "GROUP"
