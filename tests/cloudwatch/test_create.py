"""Creating groups and streams, and telling how a group that is there differs from the configuration."""

import pytest

from agent.cloudwatch.client import Drift
from agent.core.values import Destination
from agent.errors import Denied, Missing, PutError, Refused, Throttled, Unavailable
from agent.local.emulator import EmbeddedCloudWatch, Fault
from tests.cloudwatch.clients import client_of
from tests.cloudwatch.scripted_endpoint import JSON, Answer, scripted_endpoint

HERE = Destination("falco", "node-1")
THERE = Destination("falco", "node-2")
KEY = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
DONE = Answer(200, b"", JSON)
GONE = Answer.error("ResourceNotFoundException")


async def test_a_missing_group_is_made_as_configured_and_then_the_stream():
    async with EmbeddedCloudWatch() as cloudwatch:
        wanted = {
            "retention_days": 30,
            "log_class": "INFREQUENT_ACCESS",
            "kms_key_id": KEY,
            "deletion_protection": True,
            "tags": {"team": "security"},
        }
        async with client_of(cloudwatch, **wanted) as client:
            await client.create(HERE)
            drift = await client.drift("falco")

        assert cloudwatch.groups() == {"falco": ["node-1"]}
        assert drift == []


async def test_a_group_that_is_there_costs_one_call_and_needs_no_permission_to_create_groups():
    async with EmbeddedCloudWatch() as cloudwatch, client_of(cloudwatch) as client:
        await client.create(HERE)
        cloudwatch.faults.add(Fault("denied", operation="CreateLogGroup"))
        cloudwatch.requests.clear()

        await client.create(THERE)

        assert cloudwatch.groups() == {"falco": ["node-1", "node-2"]}
        assert cloudwatch.requests.statistics()["requests"] == 1


async def test_what_is_there_already_is_success():
    async with EmbeddedCloudWatch() as cloudwatch, client_of(cloudwatch) as client:
        await client.create(HERE)
        await client.create(HERE)

        assert cloudwatch.groups() == {"falco": ["node-1"]}


async def test_a_group_that_another_node_made_meanwhile_is_theirs_to_finish():
    script = [GONE, Answer.error("ResourceAlreadyExistsException"), DONE]
    async with scripted_endpoint(*script) as endpoint, client_of(endpoint, retention_days=30) as client:
        await client.create(HERE)

    targets = [request.headers["X-Amz-Target"].partition(".")[2] for request in endpoint.requests]
    assert targets == ["CreateLogStream", "CreateLogGroup", "CreateLogStream"]


async def test_nothing_is_created_when_that_is_off_and_the_message_says_how():
    async with EmbeddedCloudWatch() as cloudwatch, client_of(cloudwatch, create=False) as client:
        with pytest.raises(Missing, match="aws logs create-log-group --log-group-name falco"):
            await client.create(HERE)

        assert cloudwatch.groups() == {}
        assert cloudwatch.requests.statistics()["requests"] == 0


async def test_a_creation_that_broke_off_before_the_retention_is_finished_by_the_next():
    async with EmbeddedCloudWatch() as cloudwatch, client_of(cloudwatch, retention_days=30) as client:
        cloudwatch.faults.add(Fault("throttle", operation="PutRetentionPolicy", count=1))
        with pytest.raises(Throttled):
            await client.create(HERE)
        assert cloudwatch.groups() == {"falco": []}

        await client.create(HERE)

        assert cloudwatch.groups() == {"falco": ["node-1"]}
        assert await client.drift("falco") == []


async def test_a_retention_that_is_denied_is_said_and_does_not_keep_alerts_back(caplog: pytest.LogCaptureFixture):
    async with EmbeddedCloudWatch() as cloudwatch, client_of(cloudwatch, retention_days=30) as client:
        cloudwatch.faults.add(Fault("denied", operation="PutRetentionPolicy"))

        await client.create(HERE)

        assert cloudwatch.groups() == {"falco": ["node-1"]}
        assert [record.getMessage() for record in caplog.records] == ["retention not set"]
        assert await client.drift("falco") == [Drift("retention_days", "30", "never expires")]


@pytest.mark.parametrize(("answer", "kind", "reason"), [
    (Answer.error("OperationAbortedException"), Unavailable, "conflict"),
    (Answer.error("LimitExceededException"), Refused, "quota"),
    (Answer.error("InvalidParameterException"), Refused, "settings"),
    (Answer.error("AccessDeniedException"), Denied, "denied"),
    (Answer.error("ThrottlingException"), Throttled, "throttled"),
    (Answer(503, b""), Unavailable, "unavailable"),
])  # fmt: skip
async def test_a_group_that_cannot_be_made_says_why(answer: Answer, kind: type[PutError], reason: str):
    async with scripted_endpoint(GONE, answer) as endpoint, client_of(endpoint) as client:
        with pytest.raises(kind) as refusal:
            await client.create(HERE)

    assert type(refusal.value) is kind
    assert refusal.value.reason == reason


async def test_differences_are_reported_and_nothing_is_changed():
    async with EmbeddedCloudWatch() as cloudwatch:
        async with client_of(cloudwatch, retention_days=7) as client:
            await client.create(HERE)
        wanted = {"log_class": "INFREQUENT_ACCESS", "kms_key_id": KEY, "deletion_protection": True}
        async with client_of(cloudwatch, retention_days=30, **wanted) as client:
            await client.create(HERE)
            drift = await client.drift("falco")

    assert drift == [
        Drift("retention_days", "30", "7"),
        Drift("log_class", "INFREQUENT_ACCESS", "STANDARD"),
        Drift("deletion_protection", "true", "false"),
        Drift("kms_key_id", KEY, "none"),
    ]


async def test_what_is_not_configured_is_no_difference():
    async with EmbeddedCloudWatch() as cloudwatch:
        async with client_of(cloudwatch, retention_days=7, kms_key_id=KEY) as client:
            await client.create(HERE)
        async with client_of(cloudwatch) as client:
            assert await client.drift("falco") == []


async def test_a_key_configured_by_its_id_is_the_key_that_aws_names_by_arn():
    async with EmbeddedCloudWatch() as cloudwatch:
        async with client_of(cloudwatch, kms_key_id=KEY) as client:
            await client.create(HERE)
        async with client_of(cloudwatch, kms_key_id=KEY.rpartition("/")[2]) as client:
            assert await client.drift("falco") == []


async def test_a_group_whose_name_only_begins_alike_is_not_compared():
    async with EmbeddedCloudWatch() as cloudwatch, client_of(cloudwatch) as client:
        await client.create(Destination("falco-other", "s"))

        with pytest.raises(Missing, match="falco does not exist"):
            await client.drift("falco")
