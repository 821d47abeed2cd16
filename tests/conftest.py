"""For all tests: what they share, and what keeps one from disturbing the next."""

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import settings

AUTHORITIES_OF_THE_MACHINE = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")

LONGEST_FILES = (
    "deploy/test_image.py",
    "resume/test_exact.py",
    "ship/test_lanes.py",
    "process/test_falco_states.py",
    "faults/test_quick.py",
    "faults/test_isolation.py",
    "benchmarks/test_start_memory_scale_fleet.py",
    "benchmarks/test_quick.py",
    "benchmarks/test_losses.py",
    "benchmarks/test_latency_report.py",
    "proof/test_seals.py",
    "proof/test_histories.py",
    "process/test_bad_input.py",
    "process/test_run.py",
    "tail/test_scan_ledger.py",
    "cloudwatch/test_answers.py",
    "deploy/test_chart.py",
    "deploy/test_chart_extras.py",
    "enrich/test_list_memory.py",
)
"""These files start first. A file that takes a minute and starts last runs alone at the end."""


def pytest_configure(config: pytest.Config) -> None:
    # Until 3.14, asking for the current loop outside of one makes a loop that nobody closes. pytest-asyncio asks, and
    # the loop's ResourceWarning then fails whichever test runs last. Setting it to none once ends that.
    asyncio.set_event_loop(None)
    # A full batch is more than the MiB from which on aiohttp advises against bytes; Python ignores such advice unless
    # told otherwise. What aiohttp would prefer costs more: 2.0 ms of CPU and 4 ms of time where bytes take 1.5 and 2.
    config.addinivalue_line("filterwarnings", "ignore:Sending a large body directly:ResourceWarning")
    # A shared machine may stop for longer than any deadline, and the properties are not about time.
    settings.register_profile("shared machine", deadline=None)
    settings.load_profile("shared machine")
    # Every client of AWS that a test opens would load these bundles, which takes longer than the rest of its start.
    # Tests connect to this machine only; a test about certificates sets its own bundle.
    for name in AUTHORITIES_OF_THE_MACHINE:
        os.environ.pop(name, None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    order = {here / name: position for position, name in enumerate(LONGEST_FILES)}
    items.sort(key=lambda item: order.get(item.path, len(order)))
