"""A hook of MkDocs (mkdocs.yml): on the site, a link shows the title of its page instead of the name of its file.

On GitHub, a reader sees files, so the pages say `[iam.md](iam.md)`. On the site, the same link says "AWS permissions".
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

NAMED_LINK: Final = re.compile(r"\[([\w-]+\.md)\]\((?=\1[#)])")
_HEADING: Final = re.compile(r"^# (.+)$", re.MULTILINE)


def on_page_markdown(markdown: str, *, config: Any, **_: object) -> str:
    docs = Path(config["docs_dir"])
    return NAMED_LINK.sub(lambda link: f"[{title_of(docs / link[1])}](", markdown)


def title_of(page: Path) -> str:
    """The first heading of a page; the name of the file if there is no such page or heading."""
    heading = _HEADING.search(page.read_text(encoding="utf-8")) if page.exists() else None
    return heading[1] if heading else page.name
