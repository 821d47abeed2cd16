"""Where credentials come from, what is said when they cannot be had, and that they are found once they can be."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from agent.core.values import Destination
from agent.errors import Denied, SettingsError, Unavailable
from agent.local.emulator import EmbeddedCloudWatch, Fault
from tests.cloudwatch.clients import client_of
from tests.cloudwatch.scripted_endpoint import scripted_endpoint
from tests.cloudwatch.test_put import events

HERE = Destination("falco", "node-1")
ROLE = "arn:aws:iam::123456789012:role/falcowatch"


@pytest.fixture
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")


@pytest.mark.usefixtures("no_keys")
async def test_without_credentials_the_client_opens_and_each_put_says_what_was_tried():
    async with scripted_endpoint() as endpoint, client_of(endpoint) as client:
        with pytest.raises(Denied, match=r"tried env, .*container-role, iam-role.*give the pod a role") as refusal:
            await client.put(HERE, events("one"))

    assert refusal.value.reason == "no_credentials"
    assert endpoint.requests == []


@pytest.mark.usefixtures("no_keys")
async def test_credentials_that_come_later_are_found_without_a_restart(monkeypatch: pytest.MonkeyPatch):
    async with scripted_endpoint() as endpoint, client_of(endpoint) as client:
        with pytest.raises(Denied):
            await client.put(HERE, events("one"))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIACAMELATERTHANWE0")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")

        await client.put(HERE, events("one"))

    assert len(endpoint.requests) == 1


async def test_half_a_key_pair_names_the_variables(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    async with scripted_endpoint() as endpoint, client_of(endpoint) as client:
        with pytest.raises(Denied, match=r"credentials from env.*AWS_SECRET_ACCESS_KEY"):
            await client.put(HERE, events("one"))


@pytest.mark.usefixtures("no_keys")
async def test_a_web_identity_token_file_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))

    async with scripted_endpoint() as endpoint, client_of(endpoint) as client:
        with pytest.raises(Denied, match=r"assume-role-with-web-identity.*token.*eks.amazonaws.com/role-arn"):
            await client.put(HERE, events("one"))


@pytest.mark.usefixtures("no_keys")
async def test_a_web_identity_becomes_a_role(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "token").write_text("a.jwt.token")
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    async with EmbeddedCloudWatch() as cloudwatch:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", cloudwatch.url)
        async with client_of(cloudwatch) as client:
            await client.create(HERE)
            identity = await client.identity()

    assert identity.provider == "assume-role-with-web-identity"
    assert identity.arn is not None
    assert ":assumed-role/falcowatch/" in identity.arn


async def test_the_configured_role_is_assumed_once_on_top_of_the_chain(monkeypatch: pytest.MonkeyPatch):
    async with EmbeddedCloudWatch() as cloudwatch:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", cloudwatch.url)
        async with client_of(cloudwatch, role_arn=ROLE, external_id="tenant-7") as client:
            await asyncio.gather(*(client.create(HERE) for _ in range(4)))
            identity = await client.identity()
        assumed = cloudwatch.requests.count("sts:AssumeRole")

    assert assumed == 1
    assert identity.provider == "assume-role"
    assert identity.arn == "arn:aws:sts::123456789012:assumed-role/falcowatch/local"


async def test_the_external_id_goes_to_sts(monkeypatch: pytest.MonkeyPatch):
    async with scripted_endpoint() as sts, scripted_endpoint() as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        async with client_of(endpoint, role_arn=ROLE, external_id="tenant-7") as client:
            with pytest.raises((Denied, Unavailable)):
                await client.put(HERE, events("one"))

    assert b"ExternalId=tenant-7" in sts.requests[0].body
    assert b"RoleSessionName=falcowatch" in sts.requests[0].body


@pytest.mark.parametrize(("fault", "kind", "reason"), [
    (Fault("denied", operation="AssumeRole"), Denied, "denied"),
    (Fault("throttle", operation="AssumeRole"), Unavailable, "credentials"),
    (Fault("error", operation="AssumeRole"), Unavailable, "credentials"),
])  # fmt: skip
async def test_a_role_that_cannot_be_assumed_is_told_from_faults_of_cloudwatch(
    monkeypatch: pytest.MonkeyPatch, fault: Fault, kind: type[Denied | Unavailable], reason: str
):
    async with EmbeddedCloudWatch() as cloudwatch:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", cloudwatch.url)
        cloudwatch.faults.add(fault)
        async with client_of(cloudwatch, role_arn=ROLE) as client:
            with pytest.raises(kind, match="credentials from assume-role") as refusal:
                await client.create(HERE)
            cloudwatch.faults.clear()
            await client.create(HERE)

    assert refusal.value.reason == reason


@pytest.mark.usefixtures("no_keys")
async def test_a_pod_identity_agent_gives_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    async def hand_out(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "a.jwt.token"
        return web.json_response(
            {
                "AccessKeyId": "ASIAPODIDENTITYAGENT",
                "SecretAccessKey": "s",
                "Token": "t",
                "Expiration": "2099-01-01T00:00:00Z",
            }
        )

    (tmp_path / "token").write_text("a.jwt.token")
    application = web.Application()
    application.router.add_get("/v1/credentials", hand_out)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/credentials"
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)

    async with EmbeddedCloudWatch() as cloudwatch, client_of(cloudwatch) as client:
        identity = await client.identity()
    await runner.cleanup()

    assert (identity.provider, identity.access_key) == ("container-role", "ASIA…GENT")


async def test_who_we_are_is_told_with_the_key_masked(monkeypatch: pytest.MonkeyPatch):
    async with EmbeddedCloudWatch() as cloudwatch:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", cloudwatch.url)
        async with client_of(cloudwatch) as client:
            identity = await client.identity()

    assert (identity.provider, identity.access_key, identity.region) == ("env", "AKIA…STS0", "eu-central-1")
    assert identity.endpoint == cloudwatch.url
    assert identity.arn == "arn:aws:iam::123456789012:user/falcowatch"


async def test_an_sts_that_cannot_be_asked_is_no_error(monkeypatch: pytest.MonkeyPatch):
    async with EmbeddedCloudWatch() as cloudwatch, client_of(cloudwatch) as client:
        local = await client.identity()
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
        await client.reopen()
        silent = await client.identity()

    assert (local.arn, silent.arn) == (None, None)
    assert "is not AWS" in (local.why_no_arn or "")
    assert "STS" in (silent.why_no_arn or "")


@pytest.mark.usefixtures("no_keys")
async def test_an_identity_without_credentials_says_so():
    async with scripted_endpoint() as endpoint, client_of(endpoint) as client:
        with pytest.raises(Denied, match="no AWS credentials found"):
            await client.identity()


async def test_a_profile_that_is_not_there_is_a_mistake_in_the_settings(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    with pytest.raises(SettingsError, match=r"nobody.*AWS_PROFILE"):
        async with scripted_endpoint() as endpoint, client_of(endpoint):
            pass
