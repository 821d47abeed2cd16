"""The outcome of single options: settings, sentences, losses and decisions."""

from __future__ import annotations

import pytest

INPUT = "[INPUT]\n  Name tail\n  Path /var/log/containers/falco-*_falco_falco-*.log\n  Tag falco\n"


@pytest.fixture
def of_filter(migrate):
    def run(*lines: str):
        return migrate(INPUT + "".join(f"[FILTER]\n  {line}\n  Match *\n" for line in lines))

    return run


@pytest.fixture
def of_output(migrate):
    def run(*lines: str, name: str = "cloudwatch_logs"):
        return migrate(INPUT + f"[OUTPUT]\n  Name {name}\n  Match *\n" + "".join(f"  {line}\n" for line in lines))

    return run


@pytest.fixture
def of_input(migrate):
    def run(*lines: str):
        return migrate(INPUT + "".join(f"  {line}\n" for line in lines))

    return run


@pytest.mark.parametrize(
    ("condition", "settings"),
    [
        ("Regex priority (Emergency|Alert|Critical)", {"falco.minimum_priority": "critical"}),
        ("Regex $log_processed['priority'] ^(?:emergency|alert|critical|error)$", {"falco.minimum_priority": "error"}),
        ("Exclude priority ^(Debug|Info)$", {"falco.minimum_priority": "notice"}),
        ("Exclude $data['priority'] Debug|Informational|Notice", {"falco.minimum_priority": "warning"}),
        ("Exclude rule ^Test rule$", {"falco.drop_rules": ["Test rule"]}),
        ("Exclude rule ^(A one|B two)$", {"falco.drop_rules": ["A one", "B two"]}),
        ("Exclude rule Test", {"falco.drop_rules": ["*Test*"]}),
        ("Exclude rule ^Test", {"falco.drop_rules": ["Test*"]}),
        ("Exclude rule Test$", {"falco.drop_rules": ["*Test"]}),
        ("Regex $kubernetes['namespace_name'] ^security$", {"tail.namespace": "security"}),
        ("Regex $kubernetes['container_name'] ^sensor$", {"tail.container": "sensor"}),
    ],
)
def test_a_grep_filter_becomes_the_setting_that_selects_the_same_alerts(of_filter, condition, settings):
    assert of_filter(f"Name grep\n  {condition}").settings == settings


@pytest.mark.parametrize(
    "condition",
    [
        "Regex priority Critical",
        "Regex priority (Critical|Debug)",
        "Exclude priority Warning",
        "Regex log error",
        "Exclude rule ^(Test.*|[A-Z]+)$",
        "Regex $kubernetes['namespace_name'] falco",
        "Regex rule",
    ],
)
def test_a_grep_filter_that_has_no_counterpart_is_a_decision(of_filter, condition):
    result = of_filter(f"Name grep\n  {condition}")

    assert result.settings == {}
    assert "Falcowatch ships those alerts, too" in result.todo


def test_rules_of_several_filters_are_added(of_filter):
    result = of_filter("Name grep\n  Exclude rule ^A$", "Name grep\n  Exclude rule ^B$\n  Exclude rule ^A$")

    assert result.settings == {"falco.drop_rules": ["A", "B"]}


@pytest.mark.parametrize(
    "line",
    [
        "Name record_modifier\n  Record cluster_name prod",
        "Name modify\n  Add cluster prod",
        "Name modify\n  Set cluster prod",
    ],
)
def test_a_field_with_the_name_of_the_cluster_becomes_cluster_name(of_filter, line):
    assert of_filter(line).settings == {"cluster_name": "prod"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Name lua\n  Script x.lua\n  call f", "look at what the Lua script 'x.lua' does"),
        ("Name rewrite_tag\n  Rule $rule ^x$ y false", "sends some alerts another way"),
    ],
)
def test_a_filter_that_needs_a_look_is_a_decision(of_filter, line, words):
    assert words in of_filter(line).todo


@pytest.mark.parametrize("plugin", ["nest", "aws", "parser", "multiline", "throttle", "modify", "geoip2", "ecs"])
def test_every_option_of_a_known_filter_has_a_sentence(of_filter, plugin):
    result = of_filter(f"Name {plugin}\n  Some_Option value\n  Rate 5")

    assert "does not know the option" not in result.text
    assert result.settings == {}


def test_an_unknown_filter_and_an_unknown_option_say_so(of_filter, of_output):
    assert "Falcowatch has no filter my_plugin" in of_filter("Name my_plugin").text
    assert of_output("mystery 1").says("mystery 1") == "No counterpart: this command does not know the option."


@pytest.mark.parametrize(
    ("line", "settings"),
    [
        ("log_group_name /a/${CLUSTER_NAME}", {"cluster_name": "prod", "cloudwatch.log_group": "/a/{cluster}"}),
        ("log_stream_prefix ${HOST_NAME}-", {}),
        ("log_stream_prefix from-fluent-bit-", {"cloudwatch.log_stream": "from-fluent-bit-{node}"}),
        ("log_stream_name $(kubernetes['host'])", {}),
        ("log_stream_template $kubernetes['host'].a", {"cloudwatch.log_stream": "{node}.a"}),
        ("log_stream_template $kubernetes['pod_name']", {}),
        ("log_group_template /x/$kubernetes['namespace_name']", {"cloudwatch.log_group": "/x/{namespace}"}),
        ("log_retention_days 30", {"cloudwatch.retention_days": 30}),
        ("log_retention_days 0", {}),
        ("log_group_class INFREQUENT_ACCESS", {"cloudwatch.log_class": "INFREQUENT_ACCESS"}),
        ("new_log_group_tags team=security, stage=my a", {"cloudwatch.tags": {"team": "security", "stage": "my a"}}),
        ("endpoint vpce-1.logs.eu-west-1.vpce.amazonaws.com",
         {"cloudwatch.endpoint_url": "https://vpce-1.logs.eu-west-1.vpce.amazonaws.com"}),
        ("endpoint http://127.0.0.1:4586", {"cloudwatch.endpoint_url": "http://127.0.0.1:4586"}),
        ("add_entity true", {"cloudwatch.entity": True}),
        ("role_arn arn:aws:iam::123456789012:role/a", {"cloudwatch.role_arn": "arn:aws:iam::123456789012:role/a"}),
        ("region ${AWS_REGION}", {}),
        ("auto_create_group false", {}),
        ("workers 8", {}),
    ],
)  # fmt: skip
def test_an_option_of_the_output_becomes_a_setting(migrate, line, settings):
    text = f"{INPUT}[OUTPUT]\n  Name cloudwatch_logs\n  Match *\n  {line}\n"

    assert migrate(text, CLUSTER_NAME="prod").settings == settings


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("log_retention_days 31", "cloudwatch.retention_days = 31: is not a retention of CloudWatch"),
        ("role_arn admin", "cloudwatch.role_arn = 'admin': is not the ARN of a role"),
        ("log_group_name a group", "cloudwatch.log_group = 'a group': may contain only letters"),
        ("log_group_name {a", "cloudwatch.log_group = '{a': is not a valid template"),
        ("log_stream_name a:b", "cloudwatch.log_stream = 'a:b': must not contain : or *"),
        ("log_group_class GLACIER", "cloudwatch.log_class = 'GLACIER': must be one of"),
    ],
)
def test_a_value_that_is_not_valid_is_left_out_and_named(of_output, line, problem):
    result = of_output(line, "region eu-west-1")

    assert result.settings == {"cloudwatch.region": "eu-west-1"}
    assert f"Left out, because it is not valid: {problem}" in result.todo


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["Retry_Limit 1"], "After 1 retry, within 10 seconds, a chunk with all its alerts is dropped"),
        (["Retry_Limit 5"], "After 5 retries, within 310 seconds, a chunk"),
        (["Retry_Limit no_retries"], "is dropped at the first error"),
        ([], "Retry_Limit is 1 by default. After 1 retry"),
        (["log_key log"], "Only the field 'log' arrives"),
        (["tls.verify Off"], "Without verification anyone"),
        (["storage.total_limit_size 100M"], "When 100M wait on disk, Fluent Bit deletes the oldest"),
        (["auto_create_group false"], "If the group is missing or is deleted, nothing is delivered"),
        ([], "An event over 1,000,000 bytes is cut"),
    ],
)
def test_the_output_says_what_fluent_bit_loses(of_output, lines, words):
    assert words in of_output(*lines).lost


@pytest.mark.parametrize("value", ["no_limits", "False", "off"])
def test_an_output_that_always_tries_again_does_not_lose_by_its_retries(of_output, value):
    assert "a chunk with all its alerts" not in of_output(f"Retry_Limit {value}").lost


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "Without DB, Fluent Bit starts at the end"),
        (["Read_from_Head On"], "each restart sends every file again"),
        (["Read_from_Head Off"], "before Fluent Bit's first start are skipped"),
        (["DB /x", "DB.Sync off"], "With DB.Sync off a power failure"),
        (["Skip_Long_Lines Off", "Buffer_Max_Size 64k"], "One line over Buffer_Max_Size (64k) ends the reading"),
        (["Skip_Long_Lines On"], "A line over Buffer_Max_Size (32k) is dropped"),
        (["Rotate_Wait 10"], "10 seconds after a rotation"),
        (["Refresh_Interval 30"], "only after up to 30 seconds"),
        (["Ignore_Older 1h"], "files without a write for 1h are not read"),
        (["Mem_Buf_Limit 5MB"], "When 5MB wait in memory, reading pauses"),
        ([], "Without Mem_Buf_Limit memory grows"),
        (["storage.type memory"], "are only in memory: a crash or an OOM kill loses them"),
        (["Parser cri"], "does not join the parts of a line over 16 KiB"),
        (["Parser json"], "On a node with containerd, a JSON parser does not match"),
        (["multiline.parser cri"], "parts arrive more than 4 seconds apart"),
    ],
)
def test_the_input_says_what_fluent_bit_loses(of_input, lines, words):
    assert words in of_input(*lines).lost


def test_an_input_with_a_buffer_on_disk_does_not_lose_its_memory(of_input):
    result = of_input("storage.type filesystem", "DB /x", "DB.Sync full")

    assert "are only in memory" not in result.lost
    assert "Mem_Buf_Limit" not in result.lost
    assert "Mem_Buf_Limit" not in of_input("storage.type filesystem", "Mem_Buf_Limit 5MB").lost
    assert "power failure" not in result.lost


@pytest.mark.parametrize(
    ("line", "settings"),
    [
        ("Grace 5", {}),
        ("Grace 90", {"drain_seconds": 90}),
        ("Grace soon", {}),
        ("Log_Level warn", {"log.level": "warning"}),
        ("Log_Level trace", {"log.level": "debug"}),
        ("Log_Level off", {}),
        ("Log_Level loud", {}),
    ],
)
def test_an_option_of_the_service_becomes_a_setting(migrate, line, settings):
    assert migrate(f"[SERVICE]\n  {line}\n{INPUT}").settings == settings


def test_secrets_are_not_in_the_comments(of_output, of_filter):
    for line in ("HTTP_Passwd hunter2", "api_key hunter2", "endpoint http://me:hunter2@host:1"):
        comments = [each for each in of_output(line).text.splitlines() if each.lstrip().startswith("#")]
        assert "hunter2" not in "".join(comments)


def test_a_second_value_for_one_setting_is_announced(of_output):
    result = of_output("region eu-west-1", "region eu-west-2")

    assert result.settings["cloudwatch.region"] == "eu-west-2"
    assert "cloudwatch.region has another value before; the last one is used" in result.todo


def test_without_positions_and_from_the_head_only_the_duplicates_are_named(of_input):
    result = of_input("Read_from_Head On")

    assert "each restart sends every file again" in result.lost
    assert "Without DB, Fluent Bit starts at the end" not in result.lost
