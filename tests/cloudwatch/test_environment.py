"""Variables of the environment that cannot work: a sentence that names the variable, before the first request."""

from pathlib import Path

import pytest

from agent.cloudwatch.client import open_cloudwatch
from agent.cloudwatch.environment import problems
from agent.errors import SettingsError
from agent.settings.model import CloudWatch

UNUSABLE = [
    ("AWS_SESSION_TOKEN", "token\n"),
    ("AWS_SESSION_TOKEN", "to\r\nken"),
    ("AWS_SESSION_TOKEN", "t\u00f6ken"),
    ("AWS_ACCESS_KEY_ID", "AKIA\n"),
    ("AWS_SECRET_ACCESS_KEY", "secret "),
    ("AWS_REGION", "eu-west-1\n"),
    ("HTTPS_PROXY", "http://host:abc"),
    ("HTTPS_PROXY", "http://host:3128\n"),
    ("https_proxy", "http://host:99999"),
    ("HTTP_PROXY", "http://[::1"),
    ("HTTPS_PROXY", "socks5://host:1080"),
    ("HTTPS_PROXY", "http://"),
    ("AWS_ENDPOINT_URL", "logs.eu-west-1.amazonaws.com"),
    ("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "//host"),
    ("AWS_ENDPOINT_URL_STS", "host:8080"),
    ("AWS_ENDPOINT_URL", "http://host:abc"),
    ("AWS_CA_BUNDLE", "/nowhere/ca.pem"),
    ("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem"),
    ("AWS_METADATA_SERVICE_TIMEOUT", "soon"),
    ("AWS_METADATA_SERVICE_TIMEOUT", "1.5"),
    ("AWS_METADATA_SERVICE_TIMEOUT", "-1"),
    ("AWS_METADATA_SERVICE_NUM_ATTEMPTS", ""),
    ("AWS_MAX_ATTEMPTS", "0"),
]


@pytest.mark.parametrize(("variable", "value"), UNUSABLE)
async def test_an_unusable_variable_is_named_before_the_first_request(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(SettingsError, match=f"^{variable}: "):
        async with open_cloudwatch(CloudWatch(endpoint_url="http://127.0.0.1:1")):
            pass


def test_all_problems_are_reported_at_once_and_no_secret_is_shown() -> None:
    found = problems(
        {
            "AWS_SECRET_ACCESS_KEY": "hunter2\n",
            "HTTPS_PROXY": "http://user:hunter2@host:abc",
            "AWS_ENDPOINT_URL": "http://user:hunter2@",
        }
    )

    assert len(found) == 3
    assert "hunter2" not in "".join(found)


def test_a_bundle_without_a_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate")
    (tmp_path / "folder").mkdir()

    assert "holds no certificate" in problems({"AWS_CA_BUNDLE": str(tmp_path / "ca.pem")})[0]
    assert problems({"AWS_CA_BUNDLE": str(tmp_path / "folder")}) == []


def test_usable_variables_are_left_alone() -> None:
    assert (
        problems(
            {
                "AWS_ACCESS_KEY_ID": "AKIAFALCOWATCHTESTS0",
                "AWS_SESSION_TOKEN": "IQoJb3JpZ2luX2VjE+/=",
                "HTTPS_PROXY": "proxy.example.com:3128",
                "http_proxy": "http://user:pass%40word@[::1]:3128",
                "NO_PROXY": "a,b\n",
                "AWS_ENDPOINT_URL": "https://vpce-1.logs.eu-west-1.vpce.amazonaws.com",
                "AWS_METADATA_SERVICE_TIMEOUT": "5",
                "AWS_CA_BUNDLE": "",
            }
        )
        == []
    )
