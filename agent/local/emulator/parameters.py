"""The parameters of a request, checked member by member against the API reference (read 2026-11).

`Parameters` wraps a decoded body and returns typed values. A missing member, a wrong JSON type or a violated constraint
raises the error that AWS would answer with. Whether a group or stream exists is checked elsewhere.
"""

import re
import unicodedata
from collections.abc import Mapping

from agent.local.emulator.replies import ServiceError, invalid_member, invalid_parameter, serialization

GROUP_NAME = re.compile(r"[.\-_/#A-Za-z0-9]+")
STREAM_NAME = re.compile(r"[^:*]*")
ANY_TEXT = re.compile(r".*", re.DOTALL)
ARN = re.compile(r"arn:[\w-]+:logs:[\w-]*:\d*:log-group:([.\-_/#A-Za-z0-9]+)(?::\*)?")

RETENTION_DAYS = frozenset(
    {1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
)
GROUP_CLASSES = ("STANDARD", "INFREQUENT_ACCESS", "DELIVERY", "ESSENTIALS")
MAX_TAGS = 50


class Parameters:
    """One request's members. Each method returns None for an absent optional member and raises for a required one."""

    def __init__(self, body: Mapping[str, object]) -> None:
        self._body = body

    def text(
        self,
        name: str,
        *,
        required: bool = False,
        pattern: re.Pattern[str] = ANY_TEXT,
        min_length: int = 1,
        max_length: int = 512,
    ) -> str | None:
        value = self._body.get(name)
        if value is None:
            _absent(name, required)
            return None
        if not isinstance(value, str):
            raise serialization(f"{name}: expected a string")
        check_text(value, name, pattern, min_length, max_length)
        return value

    def integer(self, name: str, *, required: bool = False, minimum: int = 0, maximum: int = 2**63 - 1) -> int | None:
        value = self._body.get(name)
        if value is None:
            _absent(name, required)
            return None
        if type(value) is not int:
            raise serialization(f"{name}: expected a number")
        if value < minimum:
            raise invalid_member(value, name, f"Member must have value greater than or equal to {minimum}")
        if value > maximum:
            raise invalid_member(value, name, f"Member must have value less than or equal to {maximum}")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self._body.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise serialization(f"{name}: expected a boolean")
        return value

    def texts(self, name: str, *, max_count: int, pattern: re.Pattern[str] = ANY_TEXT) -> list[str] | None:
        value = self._body.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise serialization(f"{name}: expected a list of strings")
        if not 1 <= len(value) <= max_count:
            raise invalid_member(value, name, f"Member must have length between 1 and {max_count}")
        for item in value:
            check_text(item, name, pattern, 1, 512)
        return value

    def raw(self, name: str) -> object:
        return self._body.get(name)

    def new_group_name(self) -> str:
        name = self.group_name()
        if name.startswith("aws/"):
            raise invalid_parameter("Log groups starting with AWS/ are reserved for AWS.")
        return name

    def group_name(self) -> str:
        name = self.text("logGroupName", required=True, pattern=GROUP_NAME)
        assert name is not None
        return name

    def stream_name(self) -> str:
        name = self.text("logStreamName", required=True, pattern=STREAM_NAME)
        assert name is not None
        return name

    def named_group(self) -> str:
        """The group of a read operation: from logGroupName or logGroupIdentifier (name or ARN), but not both."""
        name, identifier = self.text("logGroupName", pattern=GROUP_NAME), self.identifier("logGroupIdentifier")
        if name is not None and identifier is not None:
            raise invalid_parameter("LogGroup name and LogGroup identifier are mutually exclusive parameters.")
        group = name or identifier
        if group is None:
            raise invalid_parameter("Either LogGroup name or LogGroup identifier must be provided.")
        return group

    def identifier(self, name: str, *, required: bool = False) -> str | None:
        value = self.text(name, required=required, max_length=2048)
        if value is None:
            return None
        if not value.startswith("arn:"):
            check_text(value, name, GROUP_NAME, 1, 512)
            return value
        return group_of_arn(value, name)

    def tags(self, *, required: bool = False) -> dict[str, str]:
        value = self._body.get("tags")
        if value is None:
            _absent("tags", required)
            return {}
        if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            raise serialization("tags: expected a map of strings")
        if not 1 <= len(value) <= MAX_TAGS:
            raise invalid_member(value, "tags", f"Member must have length between 1 and {MAX_TAGS}")
        for key, text in value.items():
            _check_tag(key, text)
        return value

    def log_class(self) -> str:
        value = self.text("logGroupClass")
        if value is None:
            return GROUP_CLASSES[0]
        if value not in GROUP_CLASSES:
            raise invalid_member(
                value, "logGroupClass", f"Member must satisfy enum value set: [{', '.join(GROUP_CLASSES)}]"
            )
        return value

    def retention_days(self) -> int:
        value = self.integer("retentionInDays", required=True, minimum=-(2**31))
        if value not in RETENTION_DAYS:
            raise invalid_parameter(f"The specified retention is not one of {sorted(RETENTION_DAYS)}: {value}")
        return value


def _absent(name: str, required: bool) -> None:
    if required:
        raise invalid_member(None, name, "Member must not be null")


def check_text(value: str, name: str, pattern: re.Pattern[str], min_length: int, max_length: int) -> None:
    if len(value) < min_length:
        raise invalid_member(value, name, f"Member must have length greater than or equal to {min_length}")
    if len(value) > max_length:
        raise invalid_member(value, name, f"Member must have length less than or equal to {max_length}")
    if pattern.fullmatch(value) is None:
        raise invalid_member(value, name, f"Member must satisfy regular expression pattern: {pattern.pattern}")


def group_of_arn(arn: str, name: str) -> str:
    matched = ARN.fullmatch(arn)
    if matched is None:
        raise invalid_parameter(f"{name}: '{arn}' is not the ARN of a log group")
    return matched.group(1)


def too_many_tags(arn: str) -> ServiceError:
    return ServiceError("TooManyTagsException", f"Tag limit exceeded: at most {MAX_TAGS} tags.", resourceName=arn)


def _check_tag(key: str, value: str) -> None:
    if not 1 <= len(key) <= 128 or len(value) > 256 or not _is_tag_text(key + value):
        raise invalid_member(
            f"{key}={value}",
            "tags",
            "Map keys must have length 1 to 128, values at most 256, both of letters, separators, digits and _.:/=+-@",
        )
    if key.lower().startswith("aws:"):
        raise invalid_parameter("aws: prefixed tag key names are not allowed for external use.")


def _is_tag_text(text: str) -> bool:
    return all(char in "_.:/=+-@" or unicodedata.category(char)[0] in "LZN" for char in text)
