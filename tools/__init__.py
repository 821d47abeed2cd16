"""The programs that build and check the repository. The agent does not import them, and the image does not hold them.

`docs` and `dashboards` write the generated documentation and the Grafana dashboard. `chart` generates and renders the
Helm chart. `image` builds the container image. `placeholders` finds values that a user must fill in. `binaries` finds
or fetches helm and kubectl for the tests.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The root of the repository."""
