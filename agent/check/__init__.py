"""What `falcowatch check` does.

`probes` checks everything outside the agent that it needs, `report` collects the result with the verdict, the log
streams and the configuration, and `screen` prints it.
"""

from agent.check.probes import probes
from agent.check.report import Report, report_of
from agent.check.screen import as_json, lines
from agent.web.report import Probe

__all__ = ["Probe", "Report", "as_json", "lines", "probes", "report_of"]
