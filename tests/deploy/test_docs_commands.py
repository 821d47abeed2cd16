"""The commands on the pages exist: AWS operations, make targets, helm's verbs, falcowatch, and all of their options."""

from __future__ import annotations

import re
from collections.abc import Iterator

import botocore.session
from botocore import xform_name

from tests.deploy.conftest import Runner
from tests.deploy.quickstart import BY_HAND, GLOBAL_OPTIONS, known_commands, options
from tests.deploy.test_docs_pages import DOCS, commands
from tools import ROOT


def of(program: str) -> Iterator[tuple[str, list[str]]]:
    """Yields the arguments of each command of this program, also inside `kubectl exec`, with the name of the page."""
    for page in DOCS:
        for words in commands(page):
            inner = words[words.index("--") + 1 :] if words[:1] in (["kubectl"], ["oc"]) and "--" in words else words
            if inner[:1] == [program]:
                yield page.name, inner[1 : inner.index("|") if "|" in inner else None]


def test_every_aws_command_of_a_page_is_an_operation_with_these_options():
    session = botocore.session.get_session()
    seen = list(of("aws"))

    assert len(seen) > 10
    for page, (service, operation, *words) in seen:
        if (service, operation) in BY_HAND:
            continue
        model = session.get_service_model(service)
        names = {xform_name(name, "-"): name for name in model.operation_names}
        assert operation in names, (page, service, operation)
        shape = model.operation_model(names[operation]).input_shape
        members = {f"--{xform_name(name, '-')}": member for name, member in shape.members.items()} if shape else {}
        # A member that is true or false is an option without a value, with a second form: `--no-…`.
        members |= {f"--no-{name[2:]}": one for name, one in members.items() if one.type_name == "boolean"}
        assert [name for name in options(words) if name not in members.keys() | GLOBAL_OPTIONS] == [], (page, operation)


def test_every_helm_command_of_a_page_takes_these_options(helm: Runner):
    seen = [(page, words) for page, words in of("helm") if words[0] != "diff"]  # a plugin

    assert len(seen) > 10
    for page, words in seen:
        help_text = helm(words[0], "--help").stdout
        unknown = [name for name in options(words) if not re.search(rf"(^|[\s,]){name}\b", help_text)]
        assert unknown == [], (page, words)


def test_every_make_target_of_a_page_exists():
    makefile = (ROOT / "Makefile").read_text()
    seen = list(of("make"))

    assert seen
    for page, (target, *_) in seen:
        assert re.search(rf"^{target}:.* ## ", makefile, re.MULTILINE), (page, target)


def test_every_command_of_falcowatch_on_a_page_exists():
    seen = list(of("falcowatch"))

    assert seen
    assert {words[0] for _, words in seen} <= known_commands()
