"""HTML in which text cannot become markup: whatever is not `Html` is escaped, always.

Rule names, pods and paths come from outside, so no string reaches the page but through here.
"""

from __future__ import annotations

from html import escape

_VOID = frozenset({"meta", "link", "br", "wbr"})


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


Child = str | int | None


def text(value: Child) -> Html:
    """Escapes what is not markup yet; bytes of a file name that are not UTF-8 become `?`."""
    if isinstance(value, Html):
        return value
    plain = "" if value is None else str(value)
    return Html(escape(plain.encode("utf-8", "replace").decode(), quote=True))


def tag(name: str, /, *children: Child, **attributes: str | float | None) -> Html:
    """`tag("td", rule, class_="rule")`. An attribute of None is left out; `data_x` is written data-x."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def join(*parts: Child) -> Html:
    return Html("".join(map(text, parts)))
