"""Rules for the options of `[OUTPUT] Name cloudwatch_logs` and of the Go plugin `cloudwatch`."""

from __future__ import annotations

from typing import Final

from agent.migrate.document import Option, Section
from agent.migrate.rules import names
from agent.migrate.rules.outcome import Outcome, Rule, Rules, becomes, fixed, is_on
from agent.migrate.variables import has_unknown


def _text(dotted: str) -> Rule:
    """The rule for an option whose text is one setting of ours."""

    def rule(option: Option, _section: Section) -> Outcome:
        if has_unknown(option.value):
            return Outcome(
                "No setting: a variable has no value here.",
                todo=f"{option.place}: set {dotted}; {option.value!r} has no value in this environment.",
            )
        return becomes(dotted, option.value)

    return rule


def _region(option: Option, _section: Section) -> Outcome:
    if has_unknown(option.value):
        return Outcome("No setting: the region comes from AWS_REGION or the rest of the AWS chain.")
    return becomes("cloudwatch.region", option.value)


def _endpoint(option: Option, section: Section) -> Outcome:
    url = option.value if "://" in option.value else f"https://{option.value}"
    return _text("cloudwatch.endpoint_url")(Option(option.name, url, option.place), section)


def _retention(option: Option, _section: Section) -> Outcome:
    try:
        days = int(option.value)
    except ValueError:
        days = 0
    if days <= 0:
        return Outcome("No setting: without cloudwatch.retention_days events never expire.")
    return becomes(
        "cloudwatch.retention_days", days, "Becomes cloudwatch.retention_days, for a group that the agent creates."
    )


def _tags(option: Option, _section: Section) -> Outcome:
    pairs = [part.partition("=") for part in option.value.split(",")]
    tags = {name.strip(): value.strip() for name, equals, value in pairs if equals and name.strip()}
    return becomes("cloudwatch.tags", tags)


def _create(option: Option, _section: Section) -> Outcome:
    if is_on(option.value):
        return Outcome("No setting: cloudwatch.create is true.")
    return Outcome(
        "No setting: cloudwatch.create stays true, because it also creates the streams, as Fluent Bit always does. An "
        "existing group needs no right to create one.",
        lost="If the group is missing or is deleted, nothing is delivered (fluent-bit#11983).",
    )


def _entity(option: Option, _section: Section) -> Outcome:
    if not is_on(option.value):
        return Outcome("No setting: cloudwatch.entity is false.")
    return becomes("cloudwatch.entity", True)


def _retry_limit(option: Option, _section: Section) -> Outcome:
    says = "No counterpart: the agent sends an event again until CloudWatch accepts or finally rejects it."
    value = option.value.strip().lower()
    if value in ("no_limits", "false", "off"):
        return Outcome(says)
    return Outcome(says, lost=_after_retries(int(value) if value.isdecimal() and len(value) < 4 else 0))


def _after_retries(number: int) -> str:
    """Before a retry Fluent Bit waits at most 5 seconds times two to the power of its number, and at most 2000."""
    if number == 0:
        return "A chunk with all its alerts is dropped at the first error."
    longest = sum(min(5 * 2**each, 2000) for each in range(1, number + 1))
    retries = "1 retry" if number == 1 else f"{number} retries"
    return f"After {retries}, within {longest:,} seconds, a chunk with all its alerts is dropped."


def _log_key(option: Option, _section: Section) -> Outcome:
    return Outcome(
        "No counterpart: the whole alert is shipped, with its two appended keys.",
        lost=f"Only the field {option.value!r} arrives: the metadata that the filters add is discarded.",
    )


def _total_limit(option: Option, _section: Section) -> Outcome:
    return Outcome(
        "No counterpart: the container's log file is the buffer on disk.",
        lost=f"When {option.value} wait on disk, Fluent Bit deletes the oldest alerts.",
    )


def _verify(option: Option, _section: Section) -> Outcome:
    says = "No counterpart: certificates are always verified. AWS_CA_BUNDLE names the file of a private CA."
    if is_on(option.value):
        return Outcome(says)
    return Outcome(says, lost="Without verification anyone on the network path can read and answer for CloudWatch.")


def _class(option: Option, _section: Section) -> Outcome:
    return becomes("cloudwatch.log_class", option.value.upper())


_SDK: Final = "No setting: the AWS chain finds the credentials (IRSA, EKS Pod Identity, instance role, environment)."
_DEADLINE: Final = "No setting: cloudwatch.timeout_seconds (30) bounds one request from connecting to the last byte."
_METRICS: Final = "No counterpart: the agent ships logs. Metric filters of the group count alerts by priority and rule."

CLOUDWATCH: Final = Rules(
    by_key={
        "region": _region,
        "log_group_name": names.group_name,
        "default_log_group_name": names.group_name,
        "log_group_template": names.group_template,
        "log_stream_name": names.stream_name,
        "default_log_stream_name": fixed("No setting: a name of ours always has a value."),
        "log_stream_template": names.stream_template,
        "log_stream_prefix": names.stream_prefix,
        "auto_create_group": _create,
        "auto_create_stream": fixed("No setting: cloudwatch.create is true."),
        "log_retention_days": _retention,
        "log_group_class": _class,
        "new_log_group_tags": _tags,
        "log_key": _log_key,
        "log_format": fixed("No counterpart: the header for embedded metrics is not sent; alerts contain no metrics."),
        "metric_namespace": fixed(_METRICS),
        "metric_dimensions": fixed(_METRICS),
        "role_arn": _text("cloudwatch.role_arn"),
        "external_id": _text("cloudwatch.external_id"),
        "endpoint": _endpoint,
        "sts_endpoint": fixed("No setting: set AWS_ENDPOINT_URL_STS in the environment of the agent."),
        "credentials_endpoint": fixed("No setting: set AWS_CONTAINER_CREDENTIALS_FULL_URI in the environment."),
        "profile": fixed("No setting: set AWS_PROFILE in the environment of the agent."),
        "auto_retry_requests": fixed("No counterpart: every failed request is sent again."),
        "extra_user_agent": fixed("No counterpart: AWS reserves it for its own products."),
        "add_entity": _entity,
        "retry_limit": _retry_limit,
        "workers": fixed("No setting: cloudwatch.concurrency is 4, and less while CloudWatch throttles."),
        "storage.total_limit_size": _total_limit,
        "tls.verify": _verify,
        "tls.ca_file": fixed("No setting: set AWS_CA_BUNDLE in the environment of the agent."),
        "log_suppress_interval": fixed("No counterpart."),
    },
    by_prefix={
        "net.": fixed(_DEADLINE),
        "tls.": fixed("No counterpart: certificates are always verified."),
        "storage.": fixed("No counterpart: the container's log file is the buffer on disk."),
        "aws_": fixed(_SDK),
        "processors.": fixed("No counterpart: alerts are shipped as Falco wrote them."),
    },
    absent={
        "retry_limit": f"Retry_Limit is 1 by default. {_after_retries(1)}",
        "auto_create_group": "If the group is missing or is deleted, nothing is delivered (auto_create_group "
        "is false by "
        "default; fluent-bit#11983).",
    },
)

GO_PLUGIN: Final = Rules(
    by_key=CLOUDWATCH.by_key,
    by_prefix=CLOUDWATCH.by_prefix,
    absent={
        "retry_limit": CLOUDWATCH.absent["retry_limit"],
        "auto_create_group": "If the group is missing, nothing is delivered (auto_create_group is false by default).",
    },
)

ALWAYS_LOST: Final = {
    "cloudwatch_logs": (
        "Events that CloudWatch rejects inside a successful answer (too old, too new) are counted as sent "
        "(fluent-bit#5906).",
        "An event over 1,000,000 bytes is cut in the middle of its JSON.",
    ),
    "cloudwatch": (
        "Events that CloudWatch rejects inside a successful answer (too old, too new) are a warning in the log, with a "
        "wrong number.",
        "An event over 256 KiB is cut in the middle of its JSON.",
    ),
}
"""Losses of the output that no option changes, by the name of the plugin."""
