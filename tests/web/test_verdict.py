"""The verdict: one headline for the operator, lost data before late alerts, each finding with its remedy."""

import pytest
from msgspec.structs import replace

from agent.core.falco_state import FoundFalco, NodeFalco
from agent.web import Books, Falco, LaneReport, Probe
from agent.web.verdict import Level, judge
from tests.web.conftest import CALM, NOW

LATE = LaneReport("routine", "n", waiting=12, oldest_seconds=432)


@pytest.mark.parametrize(
    ("changes", "level", "headline", "what"),
    [
        (
            {"books": Books(10, 5, 0, 0, 0)},
            Level.TROUBLE,
            "Not every record is accounted for",
            "5 records not accounted for.",
        ),
        (
            {"books": Books(10, 11, 0, 0, 0)},
            Level.TROUBLE,
            "Not every record is accounted for",
            "1 record counted twice.",
        ),
        (
            {"gaps": 1, "gap_bytes": 10 << 20},
            Level.TROUBLE,
            "Log data was lost",
            "10 MiB of log were deleted before the agent could read them.",
        ),
        (
            {"lanes": (LATE,), "last_acknowledged_at": NOW - 400},
            Level.TROUBLE,
            "CloudWatch accepts no alerts",
            "The oldest record of the routine lane has waited 7 min 12 s for CloudWatch; 12 records wait.",
        ),
        (
            {"lanes": (LATE,), "last_acknowledged_at": NOW - 1},
            Level.ATTENTION,
            "Alerts are late",
            "The oldest record of the routine lane has waited 7 min 12 s for CloudWatch; 12 records wait.",
        ),
        (
            {"lag_seconds": 3_600.0, "lag_bytes": 5 << 20},
            Level.ATTENTION,
            "Alerts are late",
            "The oldest record that CloudWatch has not acknowledged is 1 h old; "
            "5.0 MiB of log are not yet acknowledged.",
        ),
        (
            {"falco": Falco(silent_seconds=1_900, silent=True)},
            Level.ATTENTION,
            "Falco is silent",
            "Falco has written nothing for 31 min 40 s.",
        ),
        (
            {"falco": Falco(syscall_drops=18_222)},
            Level.ATTENTION,
            "Falco missed 18,222 system calls",
            "Falco missed 18,222 system calls because its buffers were full.",
        ),
        (
            {"backpressure": True, "budget_used_bytes": 16 << 20},
            Level.ATTENTION,
            "Reading waits for CloudWatch",
            "Reading waits, because 16 MiB of the memory budget of 16 MiB are in use.",
        ),
        (
            {"dead_letters": {"too_old": 40, "invalid": 2}},
            Level.ATTENTION,
            "42 records became dead letters",
            "42 records could not be delivered and became dead letters: 40 too old, 2 invalid.",
        ),
    ],
)
def test_each_problem_has_a_level_a_headline_and_a_remedy(changes, level, headline, what):
    verdict = judge(replace(CALM, **changes))

    assert (verdict.level, verdict.headline) == (level, headline)
    assert [finding.what for finding in verdict.findings] == [what]
    assert all(finding.remedy for finding in verdict.findings)


def test_a_calm_report_has_no_findings():
    verdict = judge(CALM)

    assert (verdict.level, verdict.headline, list(verdict.findings)) == (Level.CALM, "Nothing is lost", [])


def test_a_failed_probe_is_one_finding_however_many_lists_hold_it():
    failed = Probe("credentials", False, "expired; renew the role")

    verdict = judge(CALM, [failed, Probe("state", True, "fine"), failed])

    assert verdict.headline == "AWS refuses the credentials"
    assert [(finding.what, finding.remedy) for finding in verdict.findings] == [
        ("The check credentials failed.", "expired; renew the role")
    ]


def test_a_failed_probe_that_is_not_required_asks_for_attention():
    verdict = judge(CALM, [Probe("enrichment", False, "403; grant `list` on pods", required=False)])

    assert (verdict.level, verdict.headline) == (Level.ATTENTION, "Pod metadata cannot be read")
    assert [finding.remedy for finding in verdict.findings] == ["403; grant `list` on pods"]


def test_a_failed_probe_without_words_of_its_own_is_named():
    verdict = judge(CALM, [Probe("record-defects", False, "1 unforeseen exception", required=False)])

    assert verdict.headline == "The check record-defects failed"


def test_lost_data_comes_before_late_alerts_and_problems_before_hints():
    worst = replace(
        CALM, gap_bytes=1, lanes=(LATE,), last_acknowledged_at=None, backpressure=True, falco=Falco(syscall_drops=1)
    )

    verdict = judge(worst)

    assert verdict.headline == "Log data was lost"
    assert [finding.level for finding in verdict.findings] == [
        Level.TROUBLE, Level.TROUBLE, Level.ATTENTION, Level.ATTENTION,
    ]  # fmt: skip
    assert "Every record that was read is accounted for" in verdict.explanation


def test_when_records_are_missing_the_explanation_does_not_claim_that_all_are_accounted_for():
    verdict = judge(replace(CALM, books=Books(10, 5, 0, 0, 0)))

    assert "accounted for" not in verdict.explanation


READ = FoundFalco("falco/falco-x2x9t", 1000.0)
TEXT = FoundFalco("falco/falco-x2x9t", 1000.0, format="text")
ELSEWHERE = FoundFalco("default/falco-b4c5d", 1000.0, to_read="tail.namespace = default", because="container falco")


@pytest.mark.parametrize(
    ("found", "seconds", "level", "headline", "what"),
    [
        ([READ], 0, Level.CALM, "Nothing is lost", None),
        ([READ], 1000, Level.ATTENTION, "Falco is silent", "has written nothing"),
        ([TEXT], 0, Level.TROUBLE, "Falco prints text, not JSON", "falco/falco-x2x9t prints text, not JSON"),
        ([ELSEWHERE], 0, Level.TROUBLE, "Falco is on this node, but is not read", "set tail.namespace = default."),
        ([READ, ELSEWHERE], 0, Level.TROUBLE, "A Falco on this node is not read", "default/falco-b4c5d is Falco"),
        ([], 0, Level.ATTENTION, "No Falco is on this node", "No Falco was found on this node"),
        ([], 400, Level.TROUBLE, "No Falco is on this node", "This has lasted 6 min 40 s."),
    ],
)
def test_a_node_that_is_blind_is_the_headline(found, seconds, level, headline, what):
    node = NodeFalco(900, 300)
    node.look(found, 1000.0)
    node.look(found, 1000.0 + seconds)

    verdict = judge(replace(CALM, falco=Falco(view=node.view)), [Probe("falco", False, "x", required=False)])

    assert (verdict.level, verdict.headline) == (level, headline)
    assert [what in finding.what for finding in verdict.findings] == ([] if what is None else [True])


def test_lost_data_is_worse_than_a_blind_node_and_a_blind_node_worse_than_a_late_alert():
    node = NodeFalco(900, 300)
    node.look([ELSEWHERE], 1000.0)
    blind = replace(CALM, falco=Falco(view=node.view), lanes=(LATE,), last_acknowledged_at=None)

    assert judge(blind).headline == "Falco is on this node, but is not read"
    assert judge(replace(blind, gaps=1)).headline == "Log data was lost"
