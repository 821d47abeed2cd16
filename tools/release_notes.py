"""Prints one release's section of CHANGELOG.md: `python -m tools.release_notes 0.2.0`.

The release workflow calls it.
"""

from __future__ import annotations

import re
import sys

from tools import ROOT


class NoSection(ValueError):
    """The changelog has no section of that version, or an empty one."""


def section(changelog: str, version: str) -> str:
    """The text below `## <version>`, up to the next heading of that level. Raises NoSection."""
    heading = re.compile(rf"^## \[?{re.escape(version)}\]?(?: .*)?$", re.MULTILINE)
    found = heading.search(changelog)
    if found is None:
        raise NoSection(f'CHANGELOG.md has no section "## {version}"; move the entries of "## Unreleased" there')
    text = re.split(r"^## ", changelog[found.end() :], maxsplit=1, flags=re.MULTILINE)[0].strip()
    if not text:
        raise NoSection(f'the section "## {version}" of CHANGELOG.md is empty; describe the release there')
    return text


if __name__ == "__main__":
    try:
        sys.stdout.write(section((ROOT / "CHANGELOG.md").read_text(), sys.argv[1]) + "\n")
    except NoSection as error:
        sys.exit(str(error))
