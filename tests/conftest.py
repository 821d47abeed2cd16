"""For all tests: what they share, and what keeps one from disturbing the next."""

import asyncio


def pytest_configure() -> None:
    # Until 3.14, asking for the current loop outside of one makes a loop that nobody closes. pytest-asyncio asks, and
    # the loop's ResourceWarning then fails whichever test runs last. Saying once that there is none ends it.
    asyncio.set_event_loop(None)
