"""The report of an audit on terminals of different widths."""

import io

import pytest
from rich.console import Console

from agent.audit.findings import Findings
from agent.audit.report import AuditResult, print_report
from agent.audit.verify import NodeResult

NAME = "ip-10-0-12-31.eu-central-1.compute.internal"
NODE = NodeResult(
    NAME, Findings(NAME), 1_795_852_800_000, 1_795_852_860_000, seals=2, events=12_045_001, duplicates=3_628,
    filtered={"priority": 12_345, "folded": 100}, gaps=2, gap_bytes=123_456,
)  # fmt: skip


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_no_name_and_no_number_of_the_report_is_cut_in_a_narrow_terminal(width):
    output = io.StringIO()

    print_report(
        AuditResult(("/falco/prod",), None, 1_795_852_860_000, [NODE, NODE], 12_048_629, 0),
        Console(file=output, width=width, highlight=False, soft_wrap=True),
    )

    text = output.getvalue()
    for shown in (NAME, "2026-11-28T08:01:00Z", "12,045,001", "3,628", "priority 12,345, folded 100", "2 (121 KiB)"):
        assert text.count(shown) >= 2, shown
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
