"""The SDK is imported without the generators of its documentation, and other importers still find them."""

import subprocess
import sys
from importlib.metadata import version

WITHOUT_GENERATORS = """
import sys

import agent.cloudwatch.client

generators = [name for name in sys.modules if name.startswith("botocore.docs.") and name != "botocore.docs.utils"]
assert not generators, generators

from botocore.docs.docstring import ClientMethodDocstring
from botocore.docs.service import ServiceDocumenter

assert ClientMethodDocstring.__module__ == "botocore.docs.docstring"
"""

A_CLIENT = """
import asyncio

from agent.cloudwatch.sdk_import import AioSession


async def main():
    session = AioSession()
    async with session.create_client("logs", region_name="eu-west-1") as client:
        assert client.put_log_events.__doc__ == "", client.put_log_events.__doc__
        assert client.get_paginator("describe_log_groups").paginate.__doc__ == ""


asyncio.run(main())
"""

ORDINARY_IMPORT = """
import sys
from importlib.abc import MetaPathFinder


class OtherLayout(MetaPathFinder):
    '''A version in which the SDK takes another name from the generators of the documentation.'''

    def find_spec(self, name, path=None, target=None):
        generators = sys.modules.get("botocore.docs.docstring")
        if name == "botocore.waiter" and generators and not hasattr(generators, "LazyLoadedDocstring"):
            raise ImportError("cannot import name 'LazyLoadedDocstring' from 'botocore.docs.docstring'")


from botocore import exceptions

sys.meta_path.insert(0, OtherLayout())

from agent.cloudwatch import sdk_import

assert "botocore.waiter" in sys.modules
assert sdk_import.utils.ClientError is exceptions.ClientError
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def test_no_generator_of_documentation_is_imported_and_other_importers_find_all_of_them():
    done = run(WITHOUT_GENERATORS)

    assert done.returncode == 0, (
        f"botocore {version('botocore')} can no longer be imported without the generators of its documentation; "
        f"adapt agent/cloudwatch/sdk_import.py to its layout. {done.stderr}"
    )


def test_clients_and_paginators_are_made_without_documentation():
    done = run(A_CLIENT)

    assert done.returncode == 0, done.stderr


def test_a_version_with_another_layout_is_imported_in_the_ordinary_way():
    done = run(ORDINARY_IMPORT)

    assert done.returncode == 0, done.stderr
    assert "imported with the generators of its documentation" in done.stderr
