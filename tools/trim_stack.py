"""Prints manifests/aws/stack.yaml without the resource types that some regions do not have.

`python tools/trim_stack.py > stack.yaml` removes log alarms and the anomaly detector, with their role, and makes
`metrics` the default of AlertAlarms. CloudFormation refuses a template that contains an unknown resource type, even if
the condition of the resource is false; therefore a parameter alone is not enough.

Needs only the standard library.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

STACK = Path(__file__).parents[1] / "manifests/aws/stack.yaml"
MISSING_TYPES = ("AWS::CloudWatch::LogAlarm", "AWS::Logs::LogAnomalyDetector")
MISSING_RESOURCES = ("LogAlarmRole",)
"""Resources that only those of the missing types use."""

MISSING_PARAMETERS = ("LateAlertSeconds", "AnomalyDetection")
MISSING_CONDITIONS = ("LogAlarms", "AnyAlertByLines", "DetectAnomalies")

_RESOURCE = re.compile(r"^  (\w+):\n    Type: (\S+)\n(?:(?:    .*)?\n)*?(?=^  \S|^\S)", re.MULTILINE)
"""A resource or a parameter: its name, its type, and the lines that are indented below it."""


def trimmed(text: str) -> str:
    """Returns the template without the missing types and without everything that only they use."""

    def kept(found: re.Match[str]) -> str:
        name, kind = found[1], found[2]
        gone = kind in MISSING_TYPES or name in MISSING_RESOURCES or name in MISSING_PARAMETERS
        return "" if gone else found[0]

    text = _RESOURCE.sub(kept, text)
    for name in MISSING_CONDITIONS:
        text = re.sub(rf"^  {name}: .*\n", "", text, flags=re.MULTILINE)
    assertion = r"^ *- Assert: !Equals \[!Ref AnomalyDetection.*\n *AssertDescription: .*\n"
    text = re.sub(assertion, "", text, flags=re.MULTILINE)
    choice = "Default: {}\n    AllowedValues: [{}]"
    return text.replace(choice.format("log-lines", "log-lines, metrics"), choice.format("metrics", "metrics"))


if __name__ == "__main__":
    sys.stdout.write(trimmed(STACK.read_text(encoding="utf-8")))
