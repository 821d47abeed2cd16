"""Falco's values contain only keys of its chart, and the rules files have the form that Falco 0.44 reads."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART_VALUES = ROOT / "tests/data/schemas/falco-chart-9.1.0-values.yaml"
VALUES = ROOT / "manifests/falco/values.yaml"
CUSTOM_RULES = ROOT / "manifests/falco/custom-rules.yaml"
OPERATOR = ROOT / "manifests/falco-operator/falco.yaml"
DEFINITIONS = sorted((ROOT / "tests/data/schemas").glob("falco-operator-*.yaml"))
SELF_NOISE = ROOT / "helm/falcowatch/files/falco-self-noise-rules.yaml"

FREE_FORM = frozenset({"customRules"})
"""Maps with arbitrary keys."""

IN_COMMENTS = {"falco.rules": "# rules:"}
"""Keys that the chart documents only in a comment, with the text of the comment."""

OBJECT_KEYS = {
    # falco.org/docs/reference/rules and falco.org/docs/concepts/rules/overriding, read 2026-11.
    "macro": {"macro", "condition", "override"},
    "list": {"list", "items", "override"},
    "rule": {"rule", "desc", "condition", "output", "priority", "tags", "source", "enabled", "exceptions", "override"},
    "required_engine_version": {"required_engine_version"},
}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def unknown_keys(ours: dict[str, Any], theirs: Any, at: str = "") -> Iterator[str]:
    for key, value in ours.items():
        path = f"{at}.{key}" if at else key
        if path in IN_COMMENTS:
            continue
        if not isinstance(theirs, dict) or key not in theirs:
            yield path
        elif isinstance(value, dict) and path not in FREE_FORM:
            yield from unknown_keys(value, theirs[key], path)
        elif (
            theirs[key] is not None
            and not isinstance(value, type(theirs[key]))
            and not _both_numbers(value, theirs[key])
        ):
            yield f"{path}: {type(value).__name__} instead of {type(theirs[key]).__name__}"


def _both_numbers(one: Any, other: Any) -> bool:
    return all(isinstance(each, int | float) and not isinstance(each, bool) for each in (one, other))


def rule_objects(text: str) -> list[dict[str, Any]]:
    objects: list[dict[str, Any]] = yaml.safe_load(text)
    return objects


def test_every_key_of_our_values_exists_in_the_chart():
    assert list(unknown_keys(load(VALUES), load(CHART_VALUES))) == []
    assert list(unknown_keys(load(CUSTOM_RULES), load(CHART_VALUES))) == []


def test_the_keys_in_comments_exist_in_the_chart():
    text = CHART_VALUES.read_text()

    assert all(mark in text for mark in IN_COMMENTS.values())


def test_a_typo_or_a_wrong_type_is_found():
    wrong = {"falco": {"json_outputs": True, "priority": 3}}

    assert list(unknown_keys(wrong, load(CHART_VALUES))) == ["falco.json_outputs", "falco.priority: int instead of str"]


def test_falco_writes_json_on_stdout_and_reports_every_drop():
    values = load(VALUES)

    falco = values["falco"]
    assert falco["json_output"] is True
    assert falco["stdout_output"]["enabled"] is True
    assert falco["buffered_outputs"] is False
    assert falco["priority"] == "debug"
    assert falco["syscall_event_drops"] == {"threshold": 0, "actions": ["log", "alert"]}
    assert values["metrics"]["outputRule"] is True
    assert values["tty"] is False


def test_the_agents_default_globs_match_the_pods_of_this_release():
    from agent.settings import Tail

    defaults = Tail()

    assert (defaults.namespace, defaults.pod, defaults.container) == ("falco", "falco-*", "falco")
    assert "--namespace falco " in VALUES.read_text()
    assert "helm upgrade --install falco " in VALUES.read_text()


def test_the_rules_of_the_walk_are_installed_loaded_and_enabled():
    values = load(VALUES)

    artifact = values["falcoctl"]["config"]["artifact"]
    assert artifact["install"]["refs"] == artifact["follow"]["refs"] == ["falco-rules:5", "falco-sandbox-rules:6"]
    assert "/etc/falco/falco-sandbox_rules.yaml" in values["falco"]["rules_files"]
    assert values["falco"]["rules_files"][-1] == "/etc/falco/rules.d", (
        "custom rules must be last, so that they can override"
    )
    assert [choice["enable"]["rule"] for choice in values["falco"]["rules"] if "enable" in choice] == [
        "Write below etc",
        "Mkdir binary dirs",
    ]


def test_the_custom_rules_are_the_two_of_the_walk_in_current_syntax():
    (text,) = load(CUSTOM_RULES)["customRules"].values()
    objects = rule_objects(text)

    rules = {one["rule"]: one for one in objects if "rule" in one}
    assert set(rules) == {
        'The program "whoami" is run in a container',
        'The program "find" is run in a container',
    }
    assert {rule["priority"] for rule in rules.values()} == {"NOTICE"}
    for rule in rules.values():
        assert {"desc", "condition", "output", "priority"} <= rule.keys()
        assert "evt.dir" not in rule["condition"]
        assert "warn_evttypes" not in rule


def test_the_custom_rules_use_only_their_own_macros():
    (text,) = load(CUSTOM_RULES)["customRules"].values()
    objects = rule_objects(text)
    macros = {one["macro"] for one in objects if "macro" in one}

    for one in objects:
        words = one.get("condition", "").replace("(", " ").replace(")", " ").replace(",", " ").split()
        bare = {word for word in words if word.startswith("custom_")}
        assert bare <= macros


def test_rules_files_contain_only_keys_that_falco_knows():
    (custom,) = load(CUSTOM_RULES)["customRules"].values()

    for one in rule_objects(custom) + rule_objects(SELF_NOISE.read_text()):
        kind = next(key for key in OBJECT_KEYS if key in one)
        assert one.keys() <= OBJECT_KEYS[kind], one
        assert "append" not in one, "deprecated since Falco 0.37: use override"


def test_the_agent_is_exempt_from_both_rules_by_image_and_namespace():
    macros = {one["macro"]: one for one in rule_objects(SELF_NOISE.read_text()) if "macro" in one}

    assert "k8s.ns.name in" in macros["falcowatch_agent"]["condition"]
    assert " and container.image.repository " in macros["falcowatch_agent"]["condition"]
    kubernetes = macros["user_known_contact_k8s_api_server_activities"]
    assert kubernetes["condition"].startswith("or "), "it is appended to upstream's `never_true`"
    assert kubernetes["override"] == {"condition": "append"}
    metadata = macros["user_known_metadata_access"]
    assert "falcowatch_agent" in metadata["condition"]
    assert "override" not in metadata, "appending fails where the incubating rules are not loaded"


def operator_resources(*kinds: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(OPERATOR.read_text()) if not kinds or one["kind"] in kinds]


def schemas_of_the_operator() -> dict[str, dict[str, Any]]:
    """Returns the schema of each kind. Fields that a schema does not name are forbidden, as kubectl reports them."""
    found = {}
    for path in DEFINITIONS:
        definition = load(path)["spec"]
        (version,) = definition["versions"]
        found[definition["names"]["kind"]] = closed(version["schema"]["openAPIV3Schema"])
    return found


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        inner = {name: closed(each) for name, each in schema["properties"].items()}
        inner["metadata"] = {"type": "object"} if "metadata" in inner else inner.get("metadata", {})
        return schema | {"properties": inner, "additionalProperties": False}
    return schema


def test_the_operators_resources_fit_its_definitions():
    jsonschema = pytest.importorskip("jsonschema", reason="a dependency of cfn-lint")
    schemas = schemas_of_the_operator()

    problems = [
        f"{one['kind']} {one['metadata']['name']}: {error.message}"
        for one in operator_resources(*schemas)
        for error in jsonschema.Draft7Validator(schemas[one["kind"]]).iter_errors(one)
    ]

    assert schemas.keys() == {"Config", "Plugin", "Rulesfile"}
    assert problems == []


def test_an_unknown_field_of_the_operators_resources_is_found():
    jsonschema = pytest.importorskip("jsonschema", reason="a dependency of cfn-lint")
    (config,) = operator_resources("Config")

    wrong = config | {"spec": config["spec"] | {"conifg": {}}}

    validator = jsonschema.Draft7Validator(schemas_of_the_operator()["Config"])
    assert "conifg" in " ".join(error.message for error in validator.iter_errors(wrong))


def test_the_falco_resource_has_only_fields_of_its_definition():
    (falco,) = operator_resources("Falco")

    # falco-operator 0.4.1, docs/crds/falco.md.
    known = {"type", "replicas", "version", "podTemplateSpec", "updateStrategy", "strategy"}
    assert falco["spec"].keys() <= known
    assert falco["apiVersion"] == "instance.falcosecurity.dev/v1alpha1"


def test_the_operators_falco_is_configured_as_the_charts_falco():
    (config,) = operator_resources("Config")
    ours, chart = config["spec"]["config"], load(VALUES)

    for key in ("json_output", "buffered_outputs", "stdout_output", "syslog_output", "log_syslog", "priority", "rules"):
        assert ours[key] == chart["falco"][key], key
    assert ours["syscall_event_drops"].items() >= chart["falco"]["syscall_event_drops"].items()
    assert (ours["metrics"]["interval"], ours["metrics"]["output_rule"]) == (chart["metrics"]["interval"], True)
    loaded = {
        f"{one['spec']['ociArtifact']['image']['repository'].rpartition('/')[2]}"
        f":{one['spec']['ociArtifact']['image']['tag']}"
        for one in operator_resources("Rulesfile")
        if "ociArtifact" in one["spec"]
    }
    assert loaded == set(chart["falcoctl"]["config"]["artifact"]["install"]["refs"])
    assert [one["metadata"]["name"] for one in operator_resources("Plugin")] == ["container"]


def test_the_agents_default_globs_match_the_operators_pods():
    from agent.settings import Tail

    assert {one["metadata"]["namespace"] for one in operator_resources()} == {Tail().namespace}
    (falco,) = operator_resources("Falco")
    assert fnmatch(f"{falco['metadata']['name']}-x7k2p", Tail().pod)
