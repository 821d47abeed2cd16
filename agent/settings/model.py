"""The settings model: each setting with its default, its unit in its name, and its purpose.

The tables in docs/configuration.md are generated from the descriptions; a test fails when they differ.
The reason for a default is in its description, or in a comment where users do not need it.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Literal

from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
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
    names_problems,
)
from agent.settings.enrich import Enrich
from agent.settings.explain import WHOLE_SENTENCES
from agent.settings.seal import Seal
from agent.settings.section import Section
from agent.settings.units import Duration, Size

MIB = 1024 * 1024
LARGEST_BYTES = 1 << 50
LONGEST_SECONDS = 365 * 86_400.0
"""Bounds that only reject mistakes: larger numbers overflow timers and floating-point metrics."""


class Tail(Section):
    """Which log files to read."""

    root: Path | None = Field(
        Path("/var/log/pods"),
        description="kubelet's directory of pod logs, `<namespace>_<pod>_<uid>/<container>/<n>.log`; empty: none.",
    )
    namespace: str = Field("falco", min_length=1, description="Glob over the namespaces below `root`.")
    pod: str = Field("falco-*", min_length=1, description="Glob over the pod names below `root`.")
    container: str = Field("falco", min_length=1, description="Glob over the container names below `root`.")
    paths: list[str] = Field(
        [],
        description="Globs of further log files: Docker's json-file format, or plain JSON lines (Falco's "
        "`file_output`, hosts without Kubernetes, ECS).",
    )
    follow_links_into: list[AbsolutePath] = Field(
        [],
        description="Directories into which a symbolic link may lead (`/var/lib/docker/containers`). No other link is "
        "followed.",
    )
    start_at: Literal["beginning", "end"] = Field(
        "beginning", description="Where to start in a file that was never seen before."
    )
    scan_seconds: Duration = Field(
        1.0,
        gt=0,
        le=60,
        description="Time between two scans of the directories. Where inotify works, writes wake the agent.",
    )
    max_record_bytes: Size = Field(
        MIB,
        ge=1024,
        le=16 * MIB,
        description="Longest record, after joining partial lines. The default is CloudWatch's limit for one event; a "
        "longer record is shortened.",
    )
    partial_seconds: Duration = Field(
        30.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="How long to wait for the last part of a record. After that it ships incomplete and marked.",
    )
    retain_deleted_bytes: Size = Field(
        256 * MIB,
        ge=0,
        le=LARGEST_BYTES,
        description="Unread bytes of deleted files that the agent keeps by holding the files open, since they use disk "
        "space. Beyond it, bytes are given up and announced as a gap.",
    )


class FalcoRules(Section):
    """How to treat alerts."""

    minimum_priority: Priority = Field("debug", description="Alerts below this priority are not shipped.")
    urgent_priority: Priority = Field(
        "critical", description="Alerts at or above this priority travel in the urgent lane."
    )
    drop_rules: list[str] = Field([], description="Globs of rule names whose alerts are not shipped.")
    other_lines: Literal["ship", "drop"] = Field(
        "ship",
        description="Lines that are not alerts (Falco's errors, banners): `ship` them wrapped in JSON, or `drop`.",
    )
    silent_seconds: Duration = Field(
        900.0,
        ge=0,
        le=LONGEST_SECONDS,
        description="When Falco writes nothing for this long, the agent announces it; 0: never.",
    )
    missing_seconds: Duration = Field(
        300.0,
        ge=0,
        description="When no Falco of this node has been read for this long (there is none, the `tail` settings do not "
        "select it, or it prints text), the agent announces it. The default is longer than the start of a new node "
        "takes; 0: never, for nodes that have no Falco.",
    )
    storm_limit: int = Field(
        0,
        ge=0,
        le=1_000_000_000,
        description="Identical alerts per minute that ship one by one; further ones are grouped into one event. "
        "0: never group. Urgent alerts are never grouped.",
    )
    storm_keys: list[str] = Field(
        ["container.id", "proc.name", "fd.name"],
        description="Output fields that must be equal, together with the rule, for two alerts to be identical.",
    )
    express_bytes: Size = Field(
        8 * MIB,
        ge=0,
        le=LARGEST_BYTES,
        description="When more than this of a file is unread, urgent alerts in it are searched for and shipped first; "
        "0: never.",
    )


class CloudWatch(Section):
    """Where and how to ship."""

    region: str | None = Field(None, description="AWS region; unset: from the AWS chain.")
    endpoint_url: Endpoint | None = Field(
        None, description="URL of the CloudWatch Logs endpoint; unset: the region's public endpoint."
    )
    role_arn: RoleArn | None = Field(None, description="Role to assume with the credentials of the AWS chain.")
    external_id: str | None = Field(None, description="External id for assuming this role.")
    log_group: GroupTemplate | None = Field(
        None,
        description="Template over `{cluster}` `{node}` `{namespace}`; unset: `/falco/{cluster}`, or `falco` without a "
        "cluster name.",
    )
    log_stream: StreamTemplate = Field(
        "{node}",
        description="Template like `log_group`. The urgent lane uses `<stream>/urgent`, lines that are not alerts "
        "`<stream>/falco-log`.",
    )
    create: bool = Field(True, description="Create the log group and the streams when they are missing.")
    retention_days: RetentionDays | None = Field(
        None,
        description="Retention of a log group that the agent creates. In an existing group the agent reports a "
        "difference and never changes it.",
    )
    log_class: Literal["STANDARD", "INFREQUENT_ACCESS"] | None = Field(
        None,
        description="Class of a log group that the agent creates. With `INFREQUENT_ACCESS`, AWS does not say whether "
        "`resume: exact` can read events back; `falcowatch check` tries it.",
    )
    kms_key_id: str | None = Field(None, max_length=256, description="KMS key of a log group that the agent creates.")
    tags: dict[str, str] = Field({}, max_length=50, description="Tags of a log group that the agent creates.")
    deletion_protection: bool | None = Field(
        None, description="Deletion protection of a log group that the agent creates."
    )
    linger_seconds: Duration = Field(
        0.5,
        ge=0,
        le=60,
        description="How long a routine batch may wait for more alerts before it is sent. Urgent batches do not wait.",
    )
    max_puts_per_second: PositiveFloat = Field(
        5.0,
        le=1_000_000,
        description="Rate of routine batches that are not full. All nodes share the account's quota of requests.",
    )
    concurrency: PositiveInt = Field(
        4, le=64, description="Requests at the same time. While CloudWatch throttles, the agent uses fewer."
    )
    sequence_tokens: Literal["auto", "on", "off"] = Field(
        "auto",
        description="`auto`: send no sequence token until an endpoint asks for one; `on`: always; `off`: never.",
    )
    entity: bool = Field(
        False, description="Send the entity (service and environment) of this cluster with each request."
    )
    resume: Literal["at_least_once", "exact"] = Field(
        "at_least_once",
        description="`exact`: after a crash, read back the events that arrived and resend only the rest "
        "(needs logs:GetLogEvents).",
    )
    # AWS does not document gzip for PutLogEvents, but its own CloudWatch agent sends each request with it.
    compression: Literal["none", "gzip"] = Field(
        "gzip",
        description="`gzip`: a tenth of the bytes on the wire, at less CPU. If an endpoint refuses it, the agent sends "
        "plain requests and logs that. `none`: always plain. Billing and the limits of a request count plain bytes.",
    )
    out_of_window: Literal["adjust", "reject"] = Field(
        "adjust",
        description="An event that CloudWatch rejects because of its time: older than 14 days or than "
        "`retention_days`, or more than 2 hours ahead. `adjust`: ship it under the time of its delivery, and say so in "
        "`falcowatch.time`. `reject`: write it to the dead letters.",
    )
    timeout_seconds: Duration = Field(
        30.0,
        gt=0,
        le=300,
        description="Longest duration of one request, from connecting to the last byte of the answer.",
    )


class Http(Section):
    """The HTTP server for metrics, health and status."""

    host: str = Field(
        "::",
        description="Address to listen on. `::` serves IPv6 and IPv4, or the one of them that the machine has.",
    )
    port: int = Field(9801, ge=0, le=65535, description="Port to listen on; 0: any free port (it is logged).")


class Log(Section):
    """The agent's own log, on stderr."""

    level: LogLevel = Field("info", description="Least severe level to write.")
    format: Literal["json", "text"] = Field("json", description="`json`: one JSON object a line; `text`: for people.")


class Settings(Section):
    """The whole configuration."""

    node_name: str = Field(
        default_factory=socket.gethostname,
        min_length=1,
        max_length=253,
        description="Name of this node; default: the host name.",
    )
    cluster_name: str = Field("", max_length=253, description="Name of this cluster.")
    state_dir: SomePath = Field(
        Path("/var/lib/falcowatch"),
        description="Directory for the checkpoint, the dead letters, the spilled alerts and the lock file.",
    )
    memory_budget_bytes: Size = Field(
        16 * MIB,
        ge=2 * MIB,
        le=LARGEST_BYTES,
        description="Bytes of records that were read and are not yet acknowledged. This number bounds the agent's "
        "memory.",
    )
    spill_bytes: Size = Field(
        256 * MIB,
        ge=0,
        le=LARGEST_BYTES,
        description="Disk space below `state_dir` for alerts of a stream that accepts nothing (denied, refused, "
        "throttled) while other streams accept, compressed; 0: they wait in memory.",
    )
    drain_seconds: Duration = Field(
        30.0, ge=0, le=LONGEST_SECONDS, description="Time to ship the records that were read, after SIGTERM."
    )
    heartbeat_seconds: Duration = Field(
        300.0,
        ge=0,
        le=LONGEST_SECONDS,
        description="Time between two heartbeat events, which carry the accounting; 0: never.",
    )
    tail: Tail = Tail()
    falco: FalcoRules = FalcoRules()
    enrich: Enrich = Enrich()
    cloudwatch: CloudWatch = Field(CloudWatch(), validate_default=True)
    seal: Seal = Seal()
    http: Http = Http()
    log: Log = Log()

    @field_validator("cloudwatch")
    @classmethod
    def _names_fit(cls, cloudwatch: CloudWatch, names: ValidationInfo) -> CloudWatch:
        # A validator of this field, not of the whole model: pydantic then reports it together with other errors.
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
