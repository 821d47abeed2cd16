"""The settings model: its defaults are the documented ones, and an invalid value is refused before the start."""

import socket
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from agent.core.pod_metadata import DEFAULT_FIELDS, DEFAULT_LABELS
from agent.errors import SettingsError
from agent.settings import Settings, load_settings

MIB = 1024 * 1024

DOCUMENTED = {
    "node_name": socket.gethostname(),
    "cluster_name": "",
    "state_dir": Path("/var/lib/falcowatch"),
    "memory_budget_bytes": 16 * MIB,
    "drain_seconds": 30,
    "tail.root": Path("/var/log/pods"),
    "tail.namespace": "falco",
    "tail.pod": "falco-*",
    "tail.container": "falco",
    "tail.paths": [],
    "tail.follow_links_into": [],
    "tail.start_at": "beginning",
    "tail.scan_seconds": 1.0,
    "tail.max_record_bytes": 1_048_576,
    "falco.minimum_priority": "debug",
    "falco.urgent_priority": "critical",
    "falco.drop_rules": [],
    "falco.other_lines": "ship",
    "enrich.mode": "auto",
    "enrich.fields": [*DEFAULT_FIELDS],
    "enrich.labels": [*DEFAULT_LABELS],
    "enrich.annotations": [],
    "enrich.wait_seconds": 1.0,
    "enrich.keep_deleted_seconds": 3600,
    "cloudwatch.region": None,
    "cloudwatch.endpoint_url": None,
    "cloudwatch.role_arn": None,
    "cloudwatch.external_id": None,
    "cloudwatch.log_stream": "{node}",
    "cloudwatch.create": True,
    "cloudwatch.retention_days": None,
    "cloudwatch.log_class": None,
    "cloudwatch.kms_key_id": None,
    "cloudwatch.tags": {},
    "cloudwatch.deletion_protection": None,
    "cloudwatch.linger_seconds": 0.5,
    "cloudwatch.max_puts_per_second": 5,
    "cloudwatch.concurrency": 4,
    "cloudwatch.sequence_tokens": "auto",
    "http.host": "::",
    "http.port": 9801,
    "log.level": "info",
    "log.format": "json",
}
"""The public interface: charts and users rely on these defaults."""


def problem_of(yaml: str, tmp_path: Path) -> str:
    path = tmp_path / "config.yaml"
    path.write_text(yaml)
    with pytest.raises(SettingsError) as refused:
        load_settings({}, path)
    [problem] = refused.value.problems
    return problem


def test_the_defaults_are_the_documented_ones():
    defaults = {dotted: value for dotted, value, _ in load_settings({}).rows()}

    assert {dotted: defaults[dotted] for dotted in DOCUMENTED} == DOCUMENTED


def test_every_setting_has_a_description():
    def look(model: type[BaseModel], prefix: str = "") -> None:
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                look(field.annotation, f"{prefix}{name}.")
            else:
                assert (field.description or "").endswith("."), f"{prefix}{name}"

    look(Settings)


@pytest.mark.parametrize(
    ("cluster", "given", "group"), [("", None, "falco"), ("prod", None, "/falco/{cluster}"), ("prod", "mine", "mine")]
)
def test_the_default_log_group_depends_on_the_cluster_name(cluster, given, group):
    settings = Settings.model_validate({"cluster_name": cluster, "cloudwatch": {"log_group": given}})

    assert settings.log_group_template == group


def test_settings_are_immutable():
    with pytest.raises(ValidationError, match="frozen"):
        Settings().cluster_name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("written", "meant"), [("Critical", "critical"), ("INFO", "informational"), ("debug", "debug")]
)
def test_priorities_are_accepted_as_falco_writes_them(written, meant):
    assert Settings.model_validate({"falco": {"minimum_priority": written}}).falco.minimum_priority == meant


def test_a_log_level_is_accepted_in_any_case():
    assert Settings.model_validate({"log": {"level": "WARNING"}}).log.level == "warning"


@pytest.mark.parametrize(
    ("yaml", "expectation"),
    [
        ("cloudwatch: {log_group: 'a b'}", "may contain only letters, digits and . - _ / #"),
        ("cloudwatch: {log_group: aws/x}", "must not start with aws/"),
        (
            "cloudwatch: {log_group: '{rule}'}",
            "contains the unknown field 'rule'; allowed fields are {cluster}, {node}, {namespace}",
        ),
        ("cloudwatch: {log_group: '{node.__class__}'}", "contains the unknown field 'node.__class__'"),
        ("cloudwatch: {log_group: '{node'}", "is not a valid template"),
        (
            "cloudwatch: {log_group: '{node!r}'}",
            "must not format its fields; write them as {cluster}, {node}, {namespace}",
        ),
        (
            "cloudwatch: {log_stream: '{node:>9}'}",
            "must not format its fields; write them as {cluster}, {node}, {namespace}",
        ),
        ("cloudwatch: {log_stream: 'a:b'}", "must not contain : or *"),
        ("cloudwatch: {log_stream: ''}", "must not be empty"),
        (
            "cloudwatch: {log_group: '{cluster}'}",
            "contains {cluster}, but cluster_name is empty; set FALCOWATCH_CLUSTER_NAME",
        ),
        ("cluster_name: my cluster", "cluster_name = 'my cluster' cannot be used in cloudwatch.log_group"),
        ("cluster_name: 'arn:aws:eks:x'", "cluster_name = 'arn:aws:eks:x' cannot be used in cloudwatch.log_group"),
        ("node_name: 'a:b'", "node_name = 'a:b' cannot be used in cloudwatch.log_stream"),
        ("cloudwatch: {endpoint_url: 'localhost:80'}", "is not a URL; use http://host:port or https://host"),
        ("cloudwatch: {role_arn: falcowatch}", "is not the ARN of a role; use arn:aws:iam::<account>:role/<name>"),
        ("cloudwatch: {concurrency: 0}", "must be above 0"),
        ("cloudwatch: {sequence_tokens: maybe}", "must be one of 'auto', 'on' or 'off'"),
        ("cloudwatch: {tags: {team: 7}}", "must be text; put it in quotes"),
        ("cloudwatch: {retention_days: true}", "must be a whole number"),
        ("http: {port: yes}", "must be a whole number"),
        ("cloudwatch: {create: perhaps}", "must be true or false"),
        ("cluster_name: 12", "must be text; put it in quotes"),
        ("drain_seconds: .inf", "must be a finite number"),
        ("heartbeat_seconds: .nan", "must be a finite number"),
        ("memory_budget_bytes: 16 pounds", "must be a whole number of bytes, or a size such as 16MiB"),
        ("memory_budget_bytes: 1MiB", "must be at least 2097152"),
        ("drain_seconds: 30 fortnights", "must be a number of seconds, or a duration such as 30s, 5m or 1h30m"),
        ("memory_budget_bytes: 1000", "must be at least 2097152"),
        ("state_dir: ''", "must be a path"),
        ("tail: {paths: /var/log/x}", "must be a list"),
        ("tail: {follow_links_into: ['']}", "must be an absolute path"),
        ("tail: {follow_links_into: [docker]}", "must be an absolute path"),
    ],
)
def test_an_invalid_value_is_refused_with_the_expectation(tmp_path, yaml, expectation):
    problem = problem_of(yaml, tmp_path)

    assert expectation in problem
    assert yaml.split(":")[0] in problem, "the path is named"
    assert "Input should" not in problem


EVERYTHING = """
node_name: ip-10-0-12-87.ap-south-1.compute.internal
cluster_name: eks-managed-cluster
state_dir: /data/falcowatch
memory_budget_bytes: 33554432
tail: {root: /host/pods, paths: [/var/log/falco/*.json], follow_links_into: [/var/lib/docker/containers], start_at: end}
falco: {minimum_priority: Notice, urgent_priority: Error, drop_rules: ["Test *"], other_lines: drop}
enrich: {mode: api, labels: [app, "app.kubernetes.io/*"], wait_seconds: 0}
cloudwatch:
  region: ap-south-1
  endpoint_url: https://vpce-1.logs.ap-south-1.vpce.amazonaws.com
  role_arn: arn:aws:iam::123456789012:role/falcowatch
  external_id: "17"
  log_group: /falco/{cluster}/{namespace}
  log_stream: "{node}/a"
  create: false
  retention_days: 30
  log_class: INFREQUENT_ACCESS
  tags: {team: security}
  deletion_protection: true
http: {host: "::", port: 0}
log: {level: debug, format: text}
"""


def test_every_value_of_a_configuration_takes_effect(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(EVERYTHING)

    loaded = load_settings({}, path)

    effect = {dotted: value for dotted, value, source in loaded.rows() if source == str(path)}
    written = yaml.safe_load(EVERYTHING)
    flat = {
        f"{section}.{key}" if isinstance(inner, dict) else section: value
        for section, inner in written.items()
        for key, value in (inner.items() if isinstance(inner, dict) else [("", inner)])
    }
    flat |= {"falco.minimum_priority": "notice", "falco.urgent_priority": "error"}
    assert {dotted: as_text(value) for dotted, value in effect.items()} == flat
    assert loaded.settings.log_group_template == "/falco/{cluster}/{namespace}"


def as_text(value: object) -> object:
    if isinstance(value, list):
        return [as_text(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def test_a_missing_cluster_name_is_reported_together_with_other_errors(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("cloudwatch: {log_group: '/x/{cluster}'}\nhttp: {port: -1}")

    with pytest.raises(SettingsError) as refused:
        load_settings({}, path)

    assert len(refused.value.problems) == 2
