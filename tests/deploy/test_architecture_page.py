"""ARCHITECTURE.md stays one page, and names only what exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "ARCHITECTURE.md").read_text()
MOST_WORDS = 700

QUESTIONS = PAGE.partition("## Four questions")[2].partition("\n## ")[0].splitlines()


def test_it_is_one_page() -> None:
    text = re.sub(r"```mermaid.*?```", "", PAGE, flags=re.DOTALL).replace("|", " ")

    assert sum(any(map(str.isalnum, word)) for word in text.split()) <= MOST_WORDS


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(?:\w+/)*\w+\.py`", PAGE))))
def test_a_module_that_it_names_exists(path: str) -> None:
    assert list((ROOT / "agent").glob(f"**/{path.strip('`')}")) or (ROOT / path.strip("`")).exists()


@pytest.mark.parametrize("question", [line for line in QUESTIONS if line])
def test_the_place_that_answers_a_question_is_in_a_module_named_with_it(question: str) -> None:
    modules = re.findall(r"`((?:\w+/)*\w+\.py)`", question)
    code = "".join(path.read_text() for module in modules for path in (ROOT / "agent").glob(f"**/{module}"))
    names = set(re.findall(r"`(?:(\w+)\.(?!py\b))?(\w+)`", question)) - {("", "tail")}

    for name in {part for pair in names for part in pair if part}:
        assert re.search(rf"\b(?:class|def) {name}\b", code), name
