"""The settings of the pod metadata that is appended to alerts."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from agent.core.pod_metadata import DEFAULT_FIELDS, DEFAULT_LABELS
from agent.settings.checks import FieldGlobs, LabelGlobs
from agent.settings.section import Section
from agent.settings.units import Duration, Size

LONGEST_SECONDS = 365 * 86_400.0


class Enrich(Section):
    """Metadata of the pod that an alert is about."""

    mode: Literal["auto", "api", "none"] = Field(
        "auto",
        description="`api`: watch the node's pods at the API server; `auto`: the same, if a service account token is "
        "mounted; `none`: off.",
    )
    file: Path | None = Field(
        None,
        description="JSON file with pods (`kubectl get pods -A -o json`) to read instead of asking the API server.",
    )
    fields: FieldGlobs = Field(
        [*DEFAULT_FIELDS],
        description="Globs of the fields of `kubernetes` to add. The default leaves out `container_hash`, `docker_id`, "
        '`workload_kind` and `service_account`; `["*"]` adds all of them.',
    )
    labels: LabelGlobs = Field(
        [*DEFAULT_LABELS],
        description="Globs of the pod labels to add. `!` before a glob leaves labels out, and the last glob that "
        "matches decides. The default leaves out the labels that a controller sets.",
    )
    annotations: LabelGlobs = Field([], description="Globs of the pod annotations to add, like `labels`.")
    wait_seconds: Duration = Field(
        1.0,
        ge=0,
        le=30,
        description="How long an alert may wait for its pod to become known. The API server usually reports a new pod "
        "within a second.",
    )
    max_bytes: Size = Field(
        4096,
        ge=512,
        le=65_536,
        description="Most bytes of metadata added to one alert, so that metadata never makes an alert too big. Names "
        "of labels and annotations that do not fit are listed under `dropped`.",
    )
    keep_deleted_seconds: Duration = Field(
        3600.0,
        ge=0,
        le=LONGEST_SECONDS,
        description="How long a deleted pod stays known, for alerts that are read late.",
    )
