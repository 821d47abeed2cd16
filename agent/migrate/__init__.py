"""Reads a configuration of Fluent Bit and writes the configuration of Falcowatch that does the same for Falco's alerts.

`files` reads the text and its includes, `classic` and `yaml_form` parse it, `variables` fills in variables, `routes`
finds the sections that Falco's alerts pass, `rules` says for each option what becomes of it, `plan` collects the
settings, and `render` writes them as YAML with a comment for each option. All but `files` are pure functions.
"""

from agent.migrate.files import migrated

__all__ = ["migrated"]
