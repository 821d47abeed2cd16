"""The tests of this package run in an AWS environment that does not depend on the machine."""

from tests.aws_environment import aws_environment

__all__ = ["aws_environment"]
