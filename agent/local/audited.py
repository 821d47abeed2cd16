"""Audits the embedded CloudWatch as `falcowatch audit --group GROUP` does it: through the HTTP API alone."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console

from agent.audit.arguments import USUAL_SINCE_MS, AuditOptions
from agent.audit.command import audit
from agent.audit.report import AuditResult
from agent.settings import load_settings


async def audit_group(group: str, environment: Mapping[str, str]) -> AuditResult:
    """`environment`: that of the agent, whose variables name the endpoint and the credentials.

    Raises AuditFailed or PutError when the events cannot be read.
    """
    options = AuditOptions(groups=(group,), from_ms=int(time.time() * 1000) - USUAL_SINCE_MS)
    with _replaced(environment):
        return await audit(options, load_settings(environment).settings, Console(file=io.StringIO()))


@contextmanager
def _replaced(environment: Mapping[str, str]) -> Iterator[None]:
    """The AWS SDK takes credentials from the environment of its process, so the user's variables are put away."""
    kept = dict(os.environ)
    try:
        _set(environment)
        yield
    finally:
        _set(kept)


def _set(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
