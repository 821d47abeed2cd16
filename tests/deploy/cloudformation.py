"""Evaluates a CloudFormation template for given parameters, with the functions that our stack uses.

These are Ref, Sub, If, Equals, And, Not, Condition and GetAtt. Resources whose condition is false are omitted. cfn-lint
checks that the template is valid.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

PSEUDO = {"AWS::Partition": "aws", "AWS::Region": "ap-south-1", "AWS::AccountId": "123456789012"}
NO_VALUE = object()


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms (!Ref) as their long forms."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".")
    else:
        value = loader.construct_sequence(node, deep=True)  # type: ignore[arg-type]  # our template uses only scalars and sequences
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


class Stack:
    """A template with its parameters. `resources` contains the properties of each resource that AWS would create."""

    def __init__(self, path: Path, **parameters: str) -> None:
        self.template: dict[str, Any] = yaml.load(path.read_text(), _Loader)  # derived from SafeLoader
        unknown = parameters.keys() - self.template["Parameters"].keys()
        assert not unknown, f"the template has no parameter {unknown}"
        self._parameters = {
            name: parameters.get(name, declared.get("Default"))
            for name, declared in self.template["Parameters"].items()
        }
        self._resources: dict[str, Any] = {
            name: one
            for name, one in self.template["Resources"].items()
            if "Condition" not in one or self._holds(one["Condition"])
        }
        self.resources = {name: self._resolve(one["Properties"]) for name, one in self._resources.items()}

    def of_type(self, kind: str) -> dict[str, Any]:
        return {name: self.resources[name] for name, one in self._resources.items() if one["Type"] == kind}

    def _holds(self, condition: str) -> bool:
        return bool(self._resolve(self.template["Conditions"][condition]))

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [one for one in map(self._resolve, value) if one is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((key, argument),) = value.items()
            match key:
                case "Ref":
                    return self._reference(argument)
                case "Fn::Sub":
                    text, local = argument if isinstance(argument, list) else (argument, {})
                    values = {name: self._resolve(one) for name, one in local.items()}
                    return re.sub(
                        r"\$\{([^}!]+)\}", lambda found: str(values.get(found[1]) or self._reference(found[1])), text
                    )
                case "Fn::If":
                    return self._resolve(argument[1] if self._holds(argument[0]) else argument[2])
                case "Fn::Equals":
                    return str(self._resolve(argument[0])) == str(self._resolve(argument[1]))
                case "Condition":
                    return self._holds(argument)
                case "Fn::And":
                    return all(map(self._resolve, argument))
                case "Fn::Not":
                    return not self._resolve(argument[0])
                case "Fn::GetAtt":
                    return f"{argument[0]}.{argument[1]}"
        resolved = {key: self._resolve(one) for key, one in value.items()}
        return {key: one for key, one in resolved.items() if one is not NO_VALUE}

    def _reference(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self._parameters:
            return self._parameters[name]
        if name == "LogGroup":  # Ref returns the name of a log group
            return self._resolve(self.template["Resources"][name]["Properties"]["LogGroupName"])
        return f"arn:aws:made-up:ap-south-1:123456789012:{name}"
