"""aiohttp is imported without the certificates of the system, and contexts that are made later have them."""

import subprocess
import sys

PROGRAM = """
import ssl
from agent.aiohttp_import import import_aiohttp

import_aiohttp()

from aiohttp import connector

for name in ("_SSL_CONTEXT_VERIFIED", "_SSL_CONTEXT_UNVERIFIED"):
    stored = getattr(connector, name).cert_store_stats()["x509"]
    assert stored == 0, f"{name} has {stored} certificates; aiohttp loads them in another way now"
assert connector._SSL_CONTEXT_VERIFIED.verify_mode is ssl.CERT_REQUIRED
assert "set_default_verify_paths" not in vars(ssl.SSLContext)
assert ssl.create_default_context().cert_store_stats()["x509"] > 0 or not ssl.get_default_verify_paths().cafile
"""


def test_the_contexts_that_aiohttp_makes_at_import_have_no_certificates_and_later_ones_have_them():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)

    assert done.returncode == 0, f"adapt agent/aiohttp_import.py to this release of aiohttp. {done.stderr}"


def test_only_the_agent_itself_imports_aiohttp_in_this_way():
    program = "import sys; from agent.cli import command_parser; command_parser(); assert 'aiohttp' not in sys.modules"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
