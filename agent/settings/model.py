"""The settings model: each field with its default, its unit in the name, and why one would turn it.

The table in docs/configuration.md is generated from these descriptions, and a test refuses drift.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from agent.core.priorities import PRIORITIES as PRIORITIES
from agent.settings.checks import RETENTION_DAYS as RETENTION_DAYS
from agent.settings.checks import (
    AbsolutePath,
    Endpoint,
    GroupTemplate,
    LogLevel,
    Priority,
    RetentionDays,
    RoleArn,
    SomePath,
    StreamTemplate,
    as_written,
    names_problems,
)
from agent.settings.explain import WHOLE_SENTENCES

MIB = 1024 * 1024


class Section(BaseModel):
    """A group of settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _as_written(cls, values: Any) -> Any:
        if values is None:
            # `tail:` with nothing below it, or only comments.
            return {}
        if not isinstance(values, dict):
            return values
        fields = cls.model_fields
        return {key: as_written(fields[key].annotation, value) if key in fields else value
                for key, value in values.items()}  # fmt: skip


class Tail(Section):
    """What to read."""

    root: Path | None = Field(
        Path("/var/log/pods"), description="kubelet's tree, `<ns>_<pod>_<uid>/<container>/<n>.log`; empty: none."
    )
    namespace: str = Field("falco", min_length=1, description="Glob over namespaces below the root.")
    pod: str = Field("falco-*", min_length=1, description="Glob over pod names.")
    container: str = Field("falco", min_length=1, description="Glob over container names.")
    paths: list[str] = Field(
        [], description="Extra file globs: Docker json-file, or plain JSON lines (Falco's `file_output`, hosts, ECS)."
    )
    follow_links_into: list[AbsolutePath] = Field(
        [],
        description="Directories into which a link may lead (`/var/lib/docker/containers`); no other link is followed.",
    )
    start_at: Literal["beginning", "end"] = Field(
        "beginning", description="Where to begin in a file never seen before."
    )
    scan_seconds: PositiveFloat = Field(
        1.0, le=60, description="Time between two scans; inotify wakes sooner where it works."
    )
    max_record_bytes: int = Field(
        MIB, ge=1024, le=16 * MIB, description="Longest record after joining partial lines; longer ones are shrunk."
    )
    partial_seconds: PositiveFloat = Field(
        30.0,
        description="How long a record whose last part never comes is waited for before it ships as it is, marked.",
    )
    retain_deleted_bytes: int = Field(
        256 * MIB,
        ge=0,
        description="Unread bytes of deleted files that are kept alive by holding them open; beyond: a gap.",
    )


class FalcoRules(Section):
    """What an alert means."""

    minimum_priority: Priority = Field("debug", description="Alerts below it settle as `filtered`.")
    urgent_priority: Priority = Field("critical", description="Alerts at or above it travel in the urgent lane.")
    drop_rules: list[str] = Field([], description="Globs of rule names that settle as `filtered`.")
    other_lines: Literal["ship", "drop"] = Field(
        "ship", description="Lines that are no alert (Falco's stderr, banners): `ship` wrapped, or `drop`."
    )
    silent_seconds: float = Field(
        900.0, ge=0, description="A Falco that writes nothing for this long is announced as silent; 0: never."
    )
    storm_limit: int = Field(
        0,
        ge=0,
        description="Identical alerts a minute beyond which they fold into one; 0: never. Urgent ones never fold.",
    )
    storm_keys: list[str] = Field(
        ["container.id", "proc.name", "fd.name"],
        description="Output fields that, with the rule, make alerts identical.",
    )
    express_bytes: int = Field(
        8 * MIB, ge=0, description="Backlog of a file beyond which urgent alerts are scanned for ahead; 0: never."
    )


class Enrich(Section):
    """Metadata of the pod named in the alert."""

    mode: Literal["auto", "api", "none"] = Field(
        "auto",
        description="`api`: watch the node's pods; `auto`: likewise, where a service account is mounted; `none`: off.",
    )
    file: Path | None = Field(
        None, description="Read pods from this JSON file (`kubectl get pods -A -o json`) instead of the API."
    )
    labels: list[str] = Field(["*"], description="Globs of pod labels to copy.")
    annotations: list[str] = Field([], description="Globs of pod annotations to copy.")
    wait_seconds: float = Field(1.0, ge=0, le=30, description="How long a record may wait for an unknown pod.")
    keep_deleted_seconds: float = Field(3600.0, ge=0, description="How long a deleted pod stays known.")


class CloudWatch(Section):
    """Where to ship."""

    region: str | None = Field(None, description="AWS region; else the AWS chain.")
    endpoint_url: Endpoint | None = Field(None, description="Another endpoint than the region's.")
    role_arn: RoleArn | None = Field(None, description="Role to assume, on top of the AWS chain.")
    external_id: str | None = Field(None, description="External id for that role.")
    log_group: GroupTemplate | None = Field(
        None,
        description="Template over `{cluster}` `{node}` `{namespace}`; unset: `/falco/{cluster}`, else `falco`.",
    )
    log_stream: StreamTemplate = Field(
        "{node}", description="Likewise; the urgent lane uses `<stream>/urgent`, other lines `<stream>/falco-log`."
    )
    create: bool = Field(True, description="Create group and stream when missing.")
    retention_days: RetentionDays | None = Field(
        None, description="Retention of a group we create; drift is reported, never changed."
    )
    log_class: Literal["STANDARD", "INFREQUENT_ACCESS"] | None = Field(None, description="Class of a group we create.")
    kms_key_id: str | None = Field(None, max_length=256, description="KMS key of a group we create.")
    tags: dict[str, str] = Field({}, max_length=50, description="Tags of a group we create.")
    deletion_protection: bool | None = Field(None, description="Deletion protection of a group we create.")
    linger_seconds: float = Field(
        0.5, ge=0, le=60, description="How long a nearly full routine batch may wait to be full; urgent never lingers."
    )
    max_puts_per_second: PositiveFloat = Field(
        5.0, description="Pace of routine batches that are not full: the account's quota is shared by all nodes."
    )
    concurrency: PositiveInt = Field(4, le=64, description="Send slots; adaptive below it while CloudWatch throttles.")
    sequence_tokens: Literal["auto", "on", "off"] = Field(
        "auto", description="`auto`: none until an endpoint asks for them; `on` and `off` force it."
    )
    entity: bool = Field(False, description="Send the service and environment entity of this cluster with each put.")
    resume: Literal["at_least_once", "exact"] = Field(
        "at_least_once",
        description="`exact`: after a crash, read back what arrived, resend only the rest (needs logs:GetLogEvents).",
    )
    compression: Literal["none", "gzip"] = Field(
        "none",
        description="`gzip`: a tenth of the bytes on the wire, for no more CPU than sending them plain. AWS documents "
        "it nowhere; its own CloudWatch agent sends it. An endpoint that refuses it gets plain ones.",
    )
    timeout_seconds: PositiveFloat = Field(
        30.0, le=300, description="Deadline of one request, from connecting to the last byte."
    )


class Http(Section):
    """Metrics, health, status."""

    host: str = Field("0.0.0.0", description="Address to listen on.")
    port: int = Field(9801, ge=0, le=65535, description="Port to listen on; 0: any free one (it is logged).")


class Log(Section):
    """The agent's own log, on stderr."""

    level: LogLevel = Field("info", description="Least severe level that is written.")
    format: Literal["json", "text"] = Field("json", description="`json` lines, or `text` for a person.")


class Settings(Section):
    """The whole configuration."""

    node_name: str = Field(
        default_factory=socket.gethostname,
        min_length=1,
        max_length=253,
        description="This node; default: the host's name.",
    )
    cluster_name: str = Field("", max_length=253, description="This cluster.")
    state_dir: SomePath = Field(Path("/var/lib/falcowatch"), description="Checkpoint, dead letters, lock.")
    memory_budget_bytes: int = Field(
        16 * MIB, ge=2 * MIB, description="Bytes in flight: the number that bounds memory."
    )
    drain_seconds: float = Field(30.0, ge=0, description="Time to ship what is in hand after SIGTERM.")
    heartbeat_seconds: float = Field(300.0, ge=0, description="Time between two events that carry the books; 0: never.")
    tail: Tail = Tail()
    falco: FalcoRules = FalcoRules()
    enrich: Enrich = Enrich()
    cloudwatch: CloudWatch = Field(CloudWatch(), validate_default=True)
    http: Http = Http()
    log: Log = Log()

    @field_validator("cloudwatch")
    @classmethod
    def _names_fit(cls, cloudwatch: CloudWatch, names: ValidationInfo) -> CloudWatch:
        # Checked with the section, not after all sections, so that it is told beside whatever else is wrong.
        cluster, node = names.data.get("cluster_name"), names.data.get("node_name")
        problems = names_problems(
            group_template=_log_group_template(cloudwatch, cluster),
            stream_template=cloudwatch.log_stream,
            cluster_name=cluster,
            node_name=node,
        )
        if problems:
            raise PydanticCustomError(WHOLE_SENTENCES, "{lines}", {"lines": "\n".join(problems)})
        return cloudwatch

    @property
    def log_group_template(self) -> str:
        return _log_group_template(self.cloudwatch, self.cluster_name)


def _log_group_template(cloudwatch: CloudWatch, cluster_name: str | None) -> str:
    return cloudwatch.log_group or ("/falco/{cluster}" if cluster_name else "falco")
