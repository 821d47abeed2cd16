"""Every setting: its default, its unit, its check, and the source of its value.

Only this package reads settings from the environment and the YAML file. Other parts receive the sections of `Settings`
that they need, already checked.
"""

from agent.settings.enrich import Enrich
from agent.settings.load import Loaded, load_settings
from agent.settings.model import (
    CloudWatch,
    FalcoRules,
    Http,
    Log,
    Settings,
    Tail,
)
from agent.settings.seal import Seal

__all__ = ["CloudWatch", "Enrich", "FalcoRules", "Http", "Loaded", "Log", "Seal", "Settings", "Tail", "load_settings"]
