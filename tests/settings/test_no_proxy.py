"""An address that a CIDR in NO_PROXY contains is added by itself; everything else stays as it is."""

from urllib.request import proxy_bypass

import pytest

from agent.settings.no_proxy import exempt_from_proxy, expanded


@pytest.mark.parametrize(
    ("no_proxy", "host", "expected"),
    [
        ("172.20.0.0/16", "172.20.0.1", "172.20.0.0/16,172.20.0.1"),
        ("localhost, 10.0.0.0/8", "10.1.2.3", "localhost, 10.0.0.0/8,10.1.2.3"),
        ("10.1.2.3/8", "10.9.9.9", "10.1.2.3/8,10.9.9.9"),
        ("fd00::/8", "fd00::1", "fd00::/8,fd00::1,[fd00::1]"),
        ("172.20.0.0/16", "172.21.0.1", "172.20.0.0/16"),
        ("172.20.0.0/16,172.20.0.1", "172.20.0.1", "172.20.0.0/16,172.20.0.1"),
        ("172.20.0.0/16", "fd00::1", "172.20.0.0/16"),
        ("172.20.0.0/16", "logs.eu-west-1.amazonaws.com", "172.20.0.0/16"),
        ("a/b,10.0.0.0/99", "10.0.0.1", "a/b,10.0.0.0/99"),
        ("", "10.0.0.1", ""),
    ],
)
def test_a_cidr_that_contains_the_address_adds_it(no_proxy: str, host: str, expected: str) -> None:
    assert expanded(no_proxy, host) == expected
    assert expanded(expected, host) == expected


@pytest.mark.parametrize("netloc", ["[fd00::1]:443", "fd00::1"])
def test_python_takes_the_added_ipv6_address(netloc: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", expanded("fd00::/8", "fd00::1"))

    assert proxy_bypass(netloc)


def test_the_variables_that_are_set_are_changed_and_no_other() -> None:
    environ = {"NO_PROXY": "10.0.0.0/8", "HTTPS_PROXY": "http://proxy:3128"}

    exempt_from_proxy(environ, "https://10.100.0.1:443")
    exempt_from_proxy(environ, "https://[not-a-url")

    assert environ == {"NO_PROXY": "10.0.0.0/8,10.100.0.1", "HTTPS_PROXY": "http://proxy:3128"}
