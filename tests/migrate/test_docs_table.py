"""The table in docs/migration-from-fluent-bit.md and the command say the same."""

from __future__ import annotations

import re
from pathlib import Path

from agent.migrate.rules.cloudwatch import CLOUDWATCH
from agent.migrate.rules.filters import FILTERS
from agent.migrate.rules.kubernetes import KUBERNETES
from agent.migrate.rules.service import SERVICE
from agent.migrate.rules.tail import TAIL

PAGE = Path(__file__).parents[2] / "docs" / "migration-from-fluent-bit.md"


def test_the_command_knows_every_option_of_the_table():
    rows = re.findall(r"^\| (`[^|]+) \|", PAGE.read_text(), re.MULTILINE)
    names = {name.lower() for row in rows for name in re.findall(r"`(?:\[\w+\] )?([\w.*-]+)`", row)}
    rules = [CLOUDWATCH, KUBERNETES, SERVICE, TAIL, *FILTERS.values()]
    known = {key for each in rules for key in each.by_key} | set(FILTERS)
    prefixes = tuple(prefix for each in rules for prefix in each.by_prefix if prefix)
    plugins = {"cloudwatch", "cloudwatch_logs", "kubernetes", "tail"}
    of_parsers = {"decode_field_as"}  # a [PARSER] gets one sentence as a whole

    assert len(names) > 25
    assert {name for name in names - known - plugins - of_parsers if not name.startswith(prefixes)} == set()
