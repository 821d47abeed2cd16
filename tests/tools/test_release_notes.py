"""A release's notes are its own section of the changelog, and nothing else."""

import pytest

from tools.release_notes import NoSection, section

CHANGELOG = """# Changelog

## Unreleased

- next

## 1.2.0 - 2026-12-01

### Added

- a thing

## 1.1.0

"""


def test_the_notes_are_the_text_of_the_version_s_section():
    assert section(CHANGELOG, "1.2.0") == "### Added\n\n- a thing"


def test_a_version_without_a_section_is_an_error_that_names_the_heading():
    with pytest.raises(NoSection, match=r'no section "## 1\.2"'):
        section(CHANGELOG, "1.2")


def test_an_empty_section_is_an_error():
    with pytest.raises(NoSection, match=r'section "## 1\.1\.0" of CHANGELOG\.md is empty'):
        section(CHANGELOG, "1.1.0")
