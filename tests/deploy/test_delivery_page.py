"""Everything that docs/delivery.md names as a proof exists: tests, files of tests, scenarios and commands."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.faults.isolation.catalogue import SCENARIOS as ISOLATION
from tests.faults.latency import CASES
from tests.faults.scenarios import NAMED

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/delivery.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and line.count(" | ") == 2]
PROOFS = [row.split(" | ")[2].removesuffix(" |") for row in ROWS if not row.startswith("| fault |")]


@cache
def _tests() -> dict[str, list[str]]:
    """Every test of the repository by name, with the files that have it. Parsing them all takes a second."""
    found: dict[str, list[str]] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found.setdefault(node.name, []).append(path.name)
    return found


def test_the_page_has_rows() -> None:
    assert len(PROOFS) > 100
    assert all(proof.strip() for proof in PROOFS)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+…?)`", PAGE)) - {"test_"}))
def test_a_named_test_exists_once(name: str) -> None:
    if name.endswith("…"):
        assert [found for found in _tests() if found.startswith(name[:-1])] != []
        assert len([found for found in _tests() if found.startswith(name[:-1])]) == 1
    else:
        assert len(_tests().get(name, [])) == 1


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\btest_\w+\.py\b", PAGE))))
def test_a_named_file_of_tests_exists_once(name: str) -> None:
    assert len(list((ROOT / "tests").rglob(name))) == 1


def test_every_other_proof_is_a_scenario_or_a_command() -> None:
    scenarios = {scenario.name for scenario in NAMED}
    for proof in PROOFS:
        for name in re.findall(r"`([^`]+)`", proof):
            if name.startswith("test_"):
                continue
            if name.endswith("…"):
                assert any(scenario.startswith(name[:-1]) for scenario in scenarios), name
            elif name.startswith("python -m "):
                _, _, module, *rest = name.split()
                assert find_spec(module) is not None, name
                if "--only" in rest and module == "tests.faults.latency":
                    assert any(rest[rest.index("--only") + 1] in case.name for case in CASES), name
            elif name.startswith("make "):
                assert f"\n{name.split()[1]}:" in (ROOT / "Makefile").read_text(), name
            elif " " in name:
                assert any(scenario.name.startswith(name) for scenario in ISOLATION), name
            else:
                assert name in scenarios, name
