"""The classic format: sections, commands, variables, and a sentence for what cannot be read."""

from __future__ import annotations

import pytest

from agent.migrate.classic import parse
from agent.migrate.document import Document, Place, refusal

FALCO = """
[INPUT]
    Name tail
    Path /var/log/containers/falco-*_falco_falco-*.log
    Tag  falco.*
[OUTPUT]
    Name cloudwatch_logs
    Match *
    region eu-west-1
    log_group_name {group}
    log_stream_name ${{HOSTNAME}}
"""


def no_include(pattern: str, place: Place) -> Document:
    raise refusal(place, f"includes {pattern}")


def test_sections_options_comments_and_places():
    document = parse(
        "# a comment\n[SERVICE]\n    Flush   5\n\n    # another\n\tLog_Level\tinfo\r\n[INPUT]\n Name tail\n",
        "f.conf",
        no_include,
    )

    assert [(section.kind, str(section.place)) for section in document.sections] == [
        ("service", "f.conf:2"),
        ("input", "f.conf:7"),
    ]
    assert [(option.name, option.value, option.place.line) for option in document.sections[0].options] == [
        ("Flush", "5", 3),
        ("Log_Level", "info", 6),
    ]
    assert document.sections[1].plugin == "tail"


def test_the_name_of_an_option_has_no_case_and_its_value_keeps_spaces_and_hashes():
    section = parse("[FILTER]\n  RECORD key a  b # c\n", "f", no_include).sections[0]

    assert section.get("record") == "key a  b # c"


def test_a_group_of_a_section_is_part_of_the_names_of_its_options():
    section = parse("[INPUT]\n  Name tail\n  [PROCESSORS]\n    key value\n", "f", no_include).sections[0]

    assert section.get("processors.key") == "value"


def test_a_variable_is_set_by_the_file_by_the_environment_or_by_its_default(migrate):
    text = FALCO.format(group="${A}/${B}/${C:-c}")

    assert migrate(f"@SET A=/a\n{text}", A="not this", B="b").settings["cloudwatch.log_group"] == "/a/b/c"


def test_a_variable_may_be_set_below_the_line_that_uses_it(migrate):
    assert migrate(f"{FALCO.format(group='${A}')}\n@SET A=/a\n").settings["cloudwatch.log_group"] == "/a"


def test_the_name_of_the_node_is_never_that_of_this_machine(migrate):
    result = migrate(FALCO.format(group="g"), HOSTNAME="this-machine")

    assert "cloudwatch.log_stream" not in result.settings
    assert "this-machine" not in result.text


def test_a_variable_without_a_value_is_left_to_the_user(migrate):
    result = migrate(FALCO.format(group="${TEAM}/falco"))

    assert "cloudwatch.log_group" not in result.settings
    assert "choose cloudwatch.log_group; '${TEAM}/falco' has no counterpart" in result.todo


def test_files_are_included_by_name_and_by_pattern(migrate, tmp_path):
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "in.conf").write_text(FALCO.format(group="g"))
    (tmp_path / "service.conf").write_text("[SERVICE]\n  Grace 90\n")

    result = migrate("@INCLUDE service.conf\n@include conf.d/*.conf\n")

    assert result.settings["drain_seconds"] == 90
    assert result.settings["cloudwatch.log_group"] == "g"
    assert "[OUTPUT] cloudwatch_logs (in.conf:6)" in result.text


def test_a_section_goes_on_after_a_set_command(migrate):
    result = migrate(FALCO.format(group="g").replace("    region", "@SET X=1\n    region"))

    assert result.settings["cloudwatch.region"] == "eu-west-1"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[INPUT\n", "fluent-bit.conf:1: the section has no closing bracket; write it as [INPUT]"),
        ("@SET A=1\n    Name tail\n", "fluent-bit.conf:2: 'Name tail' is outside of a section"),
        ("[INPUT]\n    Name tail\n    Path\n", "fluent-bit.conf:3: 'Path' has no value"),
        (
            "[INPUT]\n@IMPORT x\n",
            "fluent-bit.conf:2: '@IMPORT x' is not a command; Fluent Bit knows @INCLUDE FILE and @SET",
        ),
        ("[INPUT]\n@SET A\n", "fluent-bit.conf:2: '@SET A' is not a command"),
        ("@INCLUDE a.conf\n", "fluent-bit.conf:1: includes 'a.conf', which is not here. Put the file into DIR"),
        ("@INCLUDE nothing/*.conf\n", "fluent-bit.conf:1: includes 'nothing/*.conf', which is not here"),
        ("@INCLUDE fluent-bit.conf\n", "fluent-bit.conf:1: includes 'fluent-bit.conf', which includes this file again"),
        ("@INCLUDE a\0b\n", "fluent-bit.conf:1: includes 'a\\x00b', which is not here"),
        ("@INCLUDE .\n", "fluent-bit.conf:1: DIR: is not a file"),
        (b"[INPUT]\n  Name \xff\n", "fluent-bit.conf:2: contains bytes that are not UTF-8 text"),
        (b"x" * (1 << 21), "fluent-bit.conf: is larger than 1048576 bytes, so it is not a configuration"),
        ("", "fluent-bit.conf:1: contains no section; a section begins with a line like [INPUT]"),
        ("hello\n", "fluent-bit.conf:1: is not a configuration of Fluent Bit"),
        ("[A]\n" + " a b\n" * 20_001, "fluent-bit.conf:1: the configuration has more than 20000 options"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_file_and_line(refused, text, problem):
    assert problem in refused(text)


def test_an_include_of_very_many_files_is_refused(refused, tmp_path):
    for number in range(120):
        (tmp_path / f"{number}.part").write_text("[SERVICE]\n  Flush 1\n")

    assert "includes more than 100 files" in refused("@INCLUDE *.part\n")


def test_files_that_double_with_each_include_are_refused(refused, tmp_path):
    for number in range(40):
        (tmp_path / f"{number}.conf").write_text(f"@INCLUDE {number + 1}.conf\n@INCLUDE {number + 1}.conf\n")
    (tmp_path / "40.conf").write_text("[SERVICE]\n Flush 1\n")

    assert "includes more than 100 files" in refused("@INCLUDE 0.conf\n")
