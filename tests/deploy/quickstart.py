"""The commands of a page: runs them in a real shell, in which every program is replaced by a recorder.

So the shell joins lines, expands variables and substitutes commands exactly as for a reader of the page. The recorder
notes its arguments, prints the account when it is asked for it, and does nothing else.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from agent.cli import command_parser

ACCOUNT = "123456789012"
PROGRAMS = ("aws", "docker", "helm", "kubectl", "make", ".venv/bin/python", ".venv/bin/falcowatch")

BY_HAND = {("cloudformation", "deploy"), ("ecr", "get-login-password"), ("logs", "tail"), ("s3", "cp")}
"""Commands of the AWS CLI that are no operation of the API."""

GLOBAL_OPTIONS = {"--query", "--output", "--region", "--endpoint-url", "--cli-input-yaml"}
"""Options of every command of the AWS CLI."""

_RECORDER = """#!{python}
import json, sys
with open({record!r}, "a") as record:
    record.write(json.dumps([{program!r}, *sys.argv[1:]]) + "\\n")
if sys.argv[1:3] == ["sts", "get-caller-identity"]:
    print({account!r})
"""


def shell_blocks(page: Path) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def recorded_calls(script: str, folder: Path) -> list[list[str]]:
    """The program and the arguments of each call that the script makes, in order."""
    record = folder / "calls.jsonl"
    for program in PROGRAMS:
        stub = folder / (program if "/" in program else f"bin/{program}")
        stub.parent.mkdir(parents=True, exist_ok=True)
        stub.write_text(
            _RECORDER.format(python=sys.executable, record=str(record), program=Path(program).name, account=ACCOUNT)
        )
        stub.chmod(0o755)
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={"PATH": str(folder / "bin")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # The two programs of a pipe run at the same time, so their order may differ between runs.
    return [json.loads(line) for line in record.read_text().splitlines()]


def options(words: list[str]) -> dict[str, str]:
    """The options of a call: `--name value`, `--name=value` or `--flag`."""
    found: dict[str, str] = {}
    for word, following in zip(words, [*words[1:], "--"], strict=True):
        if word.startswith("-"):
            name, joined, value = word.partition("=")
            found[name] = value if joined else ("" if following.startswith("-") else following)
    return found


def known_commands() -> set[str]:
    (subcommands,) = [
        action for action in command_parser()._actions if action.dest == "==SUPPRESS==" and action.choices
    ]
    return set(subcommands.choices or ())
