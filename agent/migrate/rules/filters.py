"""Rules for the filters that select or change records: grep, modify, record_modifier and others."""

from __future__ import annotations

import re
from typing import Final

from agent.core.priorities import PRIORITIES
from agent.migrate.document import Option, Section
from agent.migrate.rules.outcome import Outcome, Rule, Rules, becomes, fixed
from agent.migrate.variables import has_unknown

_LITERAL: Final = re.compile(r"[A-Za-z0-9 _,\-]+")
_CLUSTER_KEYS: Final = frozenset(
    {"cluster", "cluster_name", "cluster-name", "clustername", "k8s_cluster", "eks_cluster"}
)
_OF_FALCO_POD: Final = {"namespace_name": "tail.namespace", "container_name": "tail.container", "pod_name": "tail.pod"}
_UNCHANGED: Final = "No counterpart: an event is the line that Falco wrote, byte for byte, with two keys appended."
_DROP_NOTICES: Final = (
    "The filter also drops Falco's own notices that it lost system calls: Falco writes them with the priority Debug."
)


def _regex(option: Option, _section: Section) -> Outcome:
    """`Regex KEY REGEX` keeps the records that match."""
    key, words = _condition(option.value)
    if key == "priority" and words and (least := _least_priority(set(words))):
        return _minimum(least)
    if key in _OF_FALCO_POD and words and len(words) == 1 and _anchored(option.value):
        return becomes(_OF_FALCO_POD[key], words[0])
    return _by_hand(option, "keeps only the records that match")


def _exclude(option: Option, _section: Section) -> Outcome:
    """`Exclude KEY REGEX` drops the records that match."""
    key, words = _condition(option.value)
    if key == "priority" and words and (least := _least_priority(set(PRIORITIES) - {_known(word) for word in words})):
        return _minimum(least)
    if key == "rule" and words:
        start, end = ("" if mark in option.value else "*" for mark in ("^", "$"))
        anchored = _anchored(option.value)
        globs = [word if anchored else f"{start}{word}{end}" for word in words]
        return becomes("falco.drop_rules", globs, "Becomes falco.drop_rules.")
    return _by_hand(option, "drops the records that match")


def _minimum(priority: str) -> Outcome:
    return Outcome(
        "Becomes falco.minimum_priority. Falco's messages about its own problems are shipped nevertheless.",
        (("falco.minimum_priority", priority),),
        lost=_DROP_NOTICES if priority != "debug" else "",
    )


def _by_hand(option: Option, does: str) -> Outcome:
    return Outcome(
        "No counterpart: alerts are selected by falco.minimum_priority and falco.drop_rules only.",
        todo=f"{option.place}: {option.name} {option.value!r} {does}; Falcowatch ships those alerts, too. Use "
        "falco.minimum_priority, falco.drop_rules, or an exception in Falco's rules.",
    )


def _condition(value: str) -> tuple[str, list[str]]:
    """The last name of the key, and the words of a regular expression that only lists words; else no words."""
    key, _, expression = value.strip().partition(" ")
    name = re.findall(r"[\w-]+", key)
    text = expression.strip().removeprefix("^").removesuffix("$")
    if text.startswith("(?i)"):
        text = text[4:]
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1].removeprefix("?:")
    words = text.split("|")
    fine = all(_LITERAL.fullmatch(word) for word in words)
    return (name[-1].lower() if name else ""), (words if fine else [])


def _anchored(value: str) -> bool:
    expression = value.strip().partition(" ")[2].strip()
    return expression.startswith("^") and expression.endswith("$")


def _known(word: str) -> str:
    lower = word.strip().lower()
    return "informational" if lower == "info" else lower


def _least_priority(words: set[str]) -> str:
    """The priority P when these are exactly the priorities at or above P; else empty."""
    names = {_known(word) for word in words}
    for number in range(1, len(PRIORITIES) + 1):
        if names == set(PRIORITIES[:number]):
            return PRIORITIES[number - 1]
    return ""


def _add(option: Option, _section: Section) -> Outcome:
    key, _, value = option.value.partition(" ")
    if key.lower() in _CLUSTER_KEYS and value.strip():
        if has_unknown(value):
            return Outcome("Becomes cluster_name, which every event carries in `falcowatch.cluster`.",
                           todo=f"{option.place}: set cluster_name.")  # fmt: skip
        return becomes(
            "cluster_name", value.strip(), "Becomes cluster_name, which every event carries in `falcowatch.cluster`."
        )
    return Outcome(f"{_UNCHANGED} They include the names of node, cluster and pod.")


def _lua(option: Option, _section: Section) -> Outcome:
    return Outcome(
        _UNCHANGED,
        todo=f"{option.place}: look at what the Lua script {option.value!r} does. If it selects alerts, use "
        "falco.minimum_priority or falco.drop_rules; if it adds metadata of the pod, enrichment does that.",
    )


def _rewrite(option: Option, _section: Section) -> Outcome:
    return Outcome(
        "No counterpart: there are no tags, and all alerts go to one log group. Urgent ones have a stream of "
        "their own.",
        todo=f"{option.place}: the filter rewrite_tag sends some alerts another way ({option.value!r}). Use a metric "
        "filter or a subscription filter of the log group for these.",
    )


def _throttle(option: Option, _section: Section) -> Outcome:
    return Outcome(
        "No counterpart: nothing is dropped for its rate. falco.storm_limit can group identical alerts of one minute "
        "into one event with their number; urgent alerts are never grouped.",
        lost=f"Above {option.value} records an interval every further alert is dropped, urgent ones included.",
    )


def _all(rule: Rule) -> Rules:
    """A filter whose options all have the same answer."""
    return Rules({}, {"": rule}, {})


_JSON: Final = fixed("No counterpart: the agent reads Falco's JSON by itself.")
_HOST: Final = fixed(
    "No counterpart: the name of the node is in `falcowatch.node`; on EKS it leads to the instance and the zone."
)
_CHANGED: Final = fixed(_UNCHANGED)

FILTERS: Final = {
    "grep": Rules(
        {
            "regex": _regex,
            "exclude": _exclude,
            "logical_op": fixed("No counterpart: each setting that selects alerts works by itself."),
        },
        {},
        {},
    ),
    "record_modifier": Rules({"record": _add}, {"": _CHANGED}, {}),
    "modify": Rules({"add": _add, "set": _add}, {"": _CHANGED}, {}),
    "nest": _all(_CHANGED),
    "type_converter": _all(_CHANGED),
    "lua": Rules({"script": _lua, "code": _lua}, {"": _CHANGED}, {}),
    "rewrite_tag": Rules({"rule": _rewrite}, {"": fixed("No counterpart: there are no tags.")}, {}),
    "throttle": Rules({"rate": _throttle}, {"": fixed("No counterpart: nothing is dropped for its rate.")}, {}),
    "parser": _all(_JSON),
    "multiline": _all(fixed("No setting: the agent joins the parts of a long line by itself.")),
    "aws": _all(_HOST),
    "ecs": _all(_HOST),
    "geoip2": _all(_CHANGED),
    "checklist": _all(_CHANGED),
    "sysinfo": _all(_HOST),
}
