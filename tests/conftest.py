"""For all tests: what they share, and what keeps one from disturbing the next."""

import asyncio

import pytest
from hypothesis import settings


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
