"""Builds HTML from tags and text. Every string that is not an `Html` is escaped, so text cannot become markup.

Rule names, pod names and paths come from outside; therefore every string of the page goes through this module.
"""

from __future__ import annotations

from html import escape

_VOID = frozenset({"meta", "link", "br", "wbr"})


class Html(str):
    """A string that is markup already and is not escaped again."""

    __slots__ = ()


Child = str | int | None


def text(value: Child) -> Html:
    """The value as markup: escaped unless it is `Html`. Bytes of a file name that are not UTF-8 become `?`."""
    if isinstance(value, Html):
        return value
    plain = "" if value is None else str(value)
    return Html(escape(plain.encode("utf-8", "replace").decode(), quote=True))


def tag(name: str, /, *children: Child, **attributes: str | float | None) -> Html:
    """An element, such as `tag("td", rule, class_="rule")`. Omits an attribute of None; writes `data_x` as data-x."""
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
