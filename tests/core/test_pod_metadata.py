from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.pod_metadata import (
    DEFAULT_FIELDS,
    DEFAULT_LABELS,
    FIELDS,
    Globs,
    problem_of,
    problem_of_fields,
    selected,
)


@pytest.mark.parametrize(
    ("globs", "name", "expected"),
    [
        ([], "team", False),
        (["*"], "team", True),
        (["app*", "tier"], "app.kubernetes.io/name", True),
        (["app*", "tier"], "team", False),
        (["*", "!team"], "team", False),
        (["*", "!team"], "teams", True),
        (["!team", "*"], "team", True),
        (["*", "!app.kubernetes.io/*", "app.kubernetes.io/name"], "app.kubernetes.io/name", True),
        (["*", "!app.kubernetes.io/*", "app.kubernetes.io/name"], "app.kubernetes.io/part-of", False),
        (["*", "!*"], "team", False),
        (["[ab]", "!a"], "b", True),
    ],
)
def test_the_last_glob_that_matches_decides(globs: list[str], name: str, expected: bool):
    assert Globs(globs).select(name) is expected


@given(st.lists(st.sampled_from(["*", "a*", "!a*", "ab", "!ab", "?b", "!?b", "!*"])), st.text("ab", max_size=3))
def test_the_list_has_the_result_of_trying_its_globs_one_by_one(globs: list[str], name: str):
    expected = False
    for glob in globs:
        if Globs([glob.removeprefix("!")]).select(name):
            expected = not glob.startswith("!")

    assert Globs(globs).select(name) is expected


@pytest.mark.parametrize(
    "label",
    [
        "pod-template-hash",
        "rollouts-pod-template-hash",
        "controller-revision-hash",
        "pod-template-generation",
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
        "batch.kubernetes.io/job-name",
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-completion-index",
        "controller-uid",
        "job-name",
    ],
)
def test_a_label_that_a_controller_sets_is_left_out_by_default(label: str):
    assert not Globs(DEFAULT_LABELS).select(label)


@pytest.mark.parametrize(
    "label", ["app", "app.kubernetes.io/name", "team", "helm.sh/chart", "job", "topology.kubernetes.io/zone"]
)
def test_a_label_that_people_set_is_added_by_default(label: str):
    assert Globs(DEFAULT_LABELS).select(label)


def test_the_default_fields_have_the_names_of_fluent_bit_and_the_workload():
    assert selected(FIELDS, DEFAULT_FIELDS) == {
        "namespace_name",
        "pod_name",
        "pod_id",
        "host",
        "container_name",
        "container_image",
        "workload_name",
    }


@pytest.mark.parametrize(
    ("globs", "problem"),
    [
        ([], ""),
        (["*", "!team"], ""),
        (["team"], ""),
        ([""], "must not contain an empty glob"),
        (["*", "!"], "must not contain an empty glob"),
        (["!team"], 'selects nothing, because each entry begins with "!"; write ["*", "!team"]'),
    ],
)
def test_a_list_that_cannot_be_meant_has_a_problem(globs: list[str], problem: str):
    assert problem_of(globs) == problem


@pytest.mark.parametrize("globs", [[], ["*"], ["pod_*", "host"], ["*", "!docker_id"], list(DEFAULT_FIELDS)])
def test_globs_that_match_fields_have_no_problem(globs: list[str]):
    assert problem_of_fields(globs) == ""


@pytest.mark.parametrize("globs", [["pod"], ["*", "!pod"], ["kubernetes.*"]])
def test_a_glob_that_matches_no_field_is_named_with_the_fields(globs: list[str]):
    assert problem_of_fields(globs) == f"{globs[-1]!r} matches no field; the fields are {', '.join(FIELDS)}"


def test_an_empty_glob_of_fields_is_refused():
    assert problem_of_fields(["*", ""]) == "must not contain an empty glob"
