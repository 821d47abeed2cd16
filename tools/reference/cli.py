"""The text of docs/cli.md: cli.md.in, and a table for each command from the argument parser of agent/cli.py."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agent.cli import command_parser

WIDTH: Final = 100
"""Columns of a code block of the site. A longer usage continues on a further line."""

TEMPLATE = Path(__file__).with_name("cli.md.in")


def cli() -> str:
    parts = []
    for name, parser, line in _commands(command_parser()):
        parts.append(f"## `{name}`\n\n{(parser.description or line).strip()}\n\n```\n{_usage(parser)}\n```\n")
        if rows := list(_rows(parser)):
            parts.append("\n".join(["| argument | meaning |", "|---|---|", *rows]) + "\n")
    return TEMPLATE.read_text(encoding="utf-8").replace("{{commands}}\n", "\n".join(parts))


def _commands(parser: argparse.ArgumentParser, prefix: str = "") -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    """Each command with its parser and its line in the help of the command above it."""
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            continue
        lines = {choice.dest: choice.help or "" for choice in action._choices_actions}
        for name, inner in action.choices.items():
            yield f"{prefix}{name}", inner, lines.get(name, "")
            yield from _commands(inner, f"{prefix}{name} ")


def _usage(parser: argparse.ArgumentParser) -> str:
    """As argparse writes it, but independent of the width of the terminal and of the version of Python."""
    parts = [parser.prog]
    for action in _arguments(parser):
        parts.append(f"[{_name(action)}]" if action.option_strings and not action.required else _name(action))
    if any(isinstance(action, argparse._SubParsersAction) for action in parser._actions):
        parts.append("COMMAND")
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + 1 + len(part) > WIDTH:
            lines.append(" " * len(parser.prog))
        lines[-1] += f" {part}"
    return "\n".join(lines)


def _rows(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in _arguments(parser):
        meaning = (action.help or "") % {"default": action.default, "prog": parser.prog}
        names = ", ".join(f"`{name}`" for name in _choices(action) or [_name(action)])
        yield f"| {names} | {_sentence(meaning)} |"


def _arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [
        action
        for action in parser._actions
        if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
        and action.help != argparse.SUPPRESS
    ]


def _name(action: argparse.Action) -> str:
    """The argument as a person types it: `--config FILE`, `--strict`, `list|replay`."""
    value = "|".join(_choices(action)) or str(action.metavar or action.dest.upper())
    value = f"{value} …" if action.nargs in ("*", "+") else f"[{value}]" if action.nargs == "?" else value
    if not action.option_strings:
        return value
    option = action.option_strings[-1]
    return option if action.nargs == 0 else f"{option} {value}"


def _choices(action: argparse.Action) -> list[str]:
    return [str(choice) for choice in action.choices or ()]


def _sentence(meaning: str) -> str:
    """The help of an argument, with a capital. A name of a file stays as it is."""
    first = meaning.partition(" ")[0]
    return meaning if "." in first else f"{meaning[:1].upper()}{meaning[1:]}"
