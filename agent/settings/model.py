"""The settings model: each field with its default, its unit in the name, and why one would turn it.

The table in docs/configuration.md is generated from these descriptions, and a test refuses drift.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

MIB = 1024 * 1024

PRIORITIES = ("emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug")
RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip
"""PutRetentionPolicy reference, read 2026-11."""

TEMPLATE_FIELDS = frozenset({"cluster", "node", "namespace"})


def _template(value: str) -> str:
    """Alert text never names a group or a stream: only who we are may stand in a template."""
    try:
        fields = {name for _, name, _, _ in Formatter().parse(value) if name is not None}
    except ValueError as error:
        raise ValueError(f"is no template: {error}; allowed fields are {{cluster}}, {{node}}, {{namespace}}") from error
    if unknown := fields - TEMPLATE_FIELDS:
        raise ValueError(f"has unknown field {sorted(unknown)[0]!r}; allowed are {{cluster}}, {{node}}, {{namespace}}")
    return value


def _group_template(value: str) -> str:
    literal = "".join(text for text, *_ in Formatter().parse(_template(value)))
    if re.search(r"[^.\-_/#A-Za-z0-9]", literal):
        raise ValueError("may hold only letters, digits and . - _ / #")
    if literal.startswith("aws/"):
        raise ValueError("must not start with aws/")
    return value


def _stream_template(value: str) -> str:
    if re.search(r"[:*]", _template(value)):
        raise ValueError("must not hold : or *")
    return value


def _priority(value: str) -> str:
    known = {"info": "informational"}.get(value.lower(), value.lower())
    if known not in PRIORITIES:
        raise ValueError(f"is no priority; one of {', '.join(PRIORITIES)}")
    return known


def _retention(value: int | None) -> int | None:
    if value is not None and value not in RETENTION_DAYS:
        raise ValueError(f"is not offered by CloudWatch; one of {', '.join(map(str, RETENTION_DAYS))}")
    return value


def _endpoint(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", value):
        raise ValueError("is no URL; expected http://host:port or https://host")
    return value


Priority = Annotated[str, AfterValidator(_priority)]
GroupTemplate = Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_group_template)]
StreamTemplate = Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_stream_template)]


class Section(BaseModel):
    """A group of settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
    follow_links_into: list[Path] = Field(
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
        "auto", description="`auto`: on inside a cluster; `api`: watch this node's pods; `none`: off."
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
    endpoint_url: Annotated[str | None, AfterValidator(_endpoint)] = Field(
        None, description="Another endpoint than the region's."
    )
    role_arn: str | None = Field(
        None, pattern=r"^arn:[^:]+:iam::\d{12}:role/.+$", description="Role to assume, on top of the AWS chain."
    )
    external_id: str | None = Field(None, description="External id for that role.")
    log_group: GroupTemplate | None = Field(
        None,
        description="Template over `{cluster}` `{node}` `{namespace}`; unset: `/falco/{cluster}`, else `falco`.",
    )
    log_stream: StreamTemplate = Field(
        "{node}", description="Likewise; the urgent lane uses `<stream>/urgent`, other lines `<stream>/falco-log`."
    )
    create: bool = Field(True, description="Create group and stream when missing.")
    retention_days: Annotated[int | None, AfterValidator(_retention)] = Field(
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
        "none", description="`gzip` the request bodies (needs the `gzip` extra)."
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

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level that is written."
    )
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
    state_dir: Path = Field(Path("/var/lib/falcowatch"), description="Checkpoint, dead letters, lock.")
    memory_budget_bytes: int = Field(
        16 * MIB, ge=2 * MIB, description="Bytes in flight: the number that bounds memory."
    )
    drain_seconds: float = Field(30.0, ge=0, description="Time to ship what is in hand after SIGTERM.")
    heartbeat_seconds: float = Field(300.0, ge=0, description="Time between two events that carry the books; 0: never.")
    tail: Tail = Tail()
    falco: FalcoRules = FalcoRules()
    enrich: Enrich = Enrich()
    cloudwatch: CloudWatch = CloudWatch()
    http: Http = Http()
    log: Log = Log()

    @model_validator(mode="after")
    def _names_fit(self) -> Settings:
        for key, template in (("log_group", self.log_group_template), ("log_stream", self.cloudwatch.log_stream)):
            if "{cluster}" in template and not self.cluster_name:
                raise ValueError(
                    f"cloudwatch.{key} = {template!r} needs cluster_name, which is empty; set FALCOWATCH_CLUSTER_NAME"
                )
        return self

    @property
    def log_group_template(self) -> str:
        return self.cloudwatch.log_group or ("/falco/{cluster}" if self.cluster_name else "falco")
