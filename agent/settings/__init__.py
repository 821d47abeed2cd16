"""Every setting: its default, its unit, its check, and where its value came from.

The only reader of the environment and of YAML. The rest of the program is handed the parts of
`Settings` that it needs, already checked.
"""

from agent.settings.load import Loaded, load_settings
from agent.settings.model import (
    CloudWatch,
    Enrich,
    FalcoRules,
    Http,
    Log,
    Settings,
    Tail,
)

__all__ = ["CloudWatch", "Enrich", "FalcoRules", "Http", "Loaded", "Log", "Settings", "Tail", "load_settings"]
