"""A hook of MkDocs (mkdocs.yml): in a table, a name in code breaks between words or not at all.

A browser breaks a long name at any letter when a column is narrow: `PutLogEve nts`. So a short name never breaks, and a
long one may break only after a separator, `test_a_file_ is_read`. Copied text contains no break.
"""

from __future__ import annotations

import re
from html import unescape
from re import Match
from typing import Final

MAX_UNBROKEN: Final = 20
"""Letters of a name that stays whole. The narrowest column of a wide table still has this place."""
MAX_UNBROKEN_KEY: Final = 50
"""The first column has the keys that readers look for: the longest metric has 46 letters."""
MAX_UNBROKEN_WORDS: Final = 30
"""A key of several words, such as the rule of an event. A longer one may break between its words."""

_TABLE: Final = re.compile(r"<table>.*?</table>", re.DOTALL)
_ROW: Final = re.compile(r"<tr>(.*?)</tr>", re.DOTALL)
_CODE: Final = re.compile(r"<code>([^<]*)</code>")
_SEPARATOR: Final = re.compile(r"[_./:,=-]+(?=\w)")


def on_page_content(html: str, **_: object) -> str:
    return _TABLE.sub(lambda table: _ROW.sub(_row, table[0]), html)


def _row(row: Match[str]) -> str:
    key, end, rest = row[1].partition("</td>")
    key = _CODE.sub(lambda code: _name(code[1], MAX_UNBROKEN_KEY, MAX_UNBROKEN_WORDS), key)
    return f"<tr>{key}{end}{_CODE.sub(lambda code: _name(code[1], MAX_UNBROKEN, 0), rest)}</tr>"


def _name(code: str, longest_name: int, longest_words: int) -> str:
    text = unescape(code)
    if len(text) <= (longest_words if re.search(r"\s", text) else longest_name):
        return f'<code class="unbroken">{code}</code>'
    return f"<code>{_SEPARATOR.sub(lambda separator: f'{separator[0]}<wbr>', code)}</code>"
