"""Loading: the source of each value, the order of sources, and one sentence for every error."""

from pathlib import Path

import pytest

from agent.errors import SettingsError
from agent.settings import Settings, load_settings


@pytest.fixture
def config(tmp_path):
    """Writes a configuration file and loads it, under an environment."""

    def load(text: str | bytes = "", **environ: str):
        path = tmp_path / "config.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_settings({f"FALCOWATCH_{name}": value for name, value in environ.items()}, path)

    return load


@pytest.fixture
def problems(config):
    """The errors in a configuration."""

    def collect(text: str | bytes = "", **environ: str) -> list[str]:
        with pytest.raises(SettingsError) as refused:
            config(text, **environ)
        assert str(refused.value) == "\n".join(refused.value.problems)
        return refused.value.problems

    return collect


def settings_of(**environ: str) -> Settings:
    return load_settings({f"FALCOWATCH_{name}": value for name, value in environ.items()}).settings


# Sources of values.


def test_without_file_and_environment_every_setting_has_its_default():
    loaded = load_settings({"PATH": "/bin"})

    assert loaded.settings == Settings()
    assert loaded.config_path is None
    assert {source for _, _, source in loaded.rows()} == {"default"}


def test_the_environment_wins_over_the_file_and_each_value_has_its_source(config, tmp_path):
    loaded = config("http: {host: 127.0.0.1, port: 1000}\ncluster_name: from-file", HTTP__PORT="2000")

    sources = {dotted: (value, source) for dotted, value, source in loaded.rows()}
    assert sources["http.host"] == ("127.0.0.1", str(tmp_path / "config.yaml"))
    assert sources["http.port"] == (2000, "FALCOWATCH_HTTP__PORT")
    assert sources["cluster_name"] == ("from-file", str(tmp_path / "config.yaml"))
    assert sources["log.level"] == ("info", "default")


def test_rows_name_every_setting_once_in_the_order_of_the_model():
    rows = [dotted for dotted, _, _ in load_settings({}).rows()]

    assert rows[:2] == ["node_name", "cluster_name"]
    assert len(rows) == len(set(rows)) > 45
    assert rows.index("tail.root") < rows.index("falco.minimum_priority") < rows.index("log.format")


def test_the_file_is_named_by_the_argument_before_the_variable(tmp_path):
    for name in ("argument", "variable"):
        (tmp_path / name).write_text(f"cluster_name: {name}")
    environ = {"FALCOWATCH_CONFIG": str(tmp_path / "variable")}

    assert load_settings(environ, tmp_path / "argument").settings.cluster_name == "argument"
    assert load_settings(environ).settings.cluster_name == "variable"
    assert load_settings({"FALCOWATCH_CONFIG": ""}).config_path is None


def test_a_map_of_the_file_has_one_source(config, tmp_path):
    loaded = config("cloudwatch: {tags: {team: security, stage: prod}}")

    assert loaded.settings.cloudwatch.tags == {"team": "security", "stage": "prod"}
    assert loaded.sources["cloudwatch.tags"] == str(tmp_path / "config.yaml")


# Values in the environment.


def test_lists_and_maps_in_the_environment_are_json():
    settings = settings_of(
        TAIL__PATHS='["/a/*.log", "/b"]', FALCO__DROP_RULES="[]", CLOUDWATCH__TAGS='{"team": "security"}'
    )

    assert settings.tail.paths == ["/a/*.log", "/b"]
    assert settings.falco.drop_rules == []
    assert settings.cloudwatch.tags == {"team": "security"}


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False), ("1", True), ("no", False)])
def test_a_boolean_is_accepted_in_its_usual_spellings(text, value):
    assert settings_of(CLOUDWATCH__CREATE=text).cloudwatch.create is value


@pytest.mark.parametrize(
    "name",
    ["CLOUDWATCH__REGION", "CLOUDWATCH__ROLE_ARN", "CLOUDWATCH__RETENTION_DAYS", "TAIL__ROOT", "CLOUDWATCH__LOG_GROUP"],
)
def test_an_empty_variable_unsets_an_optional_setting(name):
    section, key = name.lower().split("__")

    assert getattr(getattr(settings_of(**{name: ""}), section), key) is None


@pytest.mark.parametrize("written", ["''", "null", "~", ""])
def test_an_empty_value_in_the_file_unsets_an_optional_setting(config, written):
    settings = config(f"tail: {{root: {written}}}\nenrich: {{file: {written}}}").settings

    assert settings.tail.root is None, "an empty path must not become the current directory"
    assert settings.enrich.file is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FALCOWATCH_SERVICE_HOST", "10.0.0.1"),
        ("FALCOWATCH_SERVICE_PORT", "9801"),
        ("FALCOWATCH_SERVICE_PORT_METRICS", "9801"),
        ("FALCOWATCH_PORT", "tcp://10.0.0.1:9801"),
        ("FALCOWATCH_PORT_9801_TCP", "tcp://10.0.0.1:9801"),
        ("FALCOWATCH_PORT_9801_TCP_PROTO", "tcp"),
        ("FALCOWATCH_PORT_9801_TCP_ADDR", "10.0.0.1"),
        ("FALCOWATCH_METRICS_SERVICE_HOST", "10.0.0.1"),
        ("FALCOWATCH_METRICS_SERVICE_PORT", "9801"),
        ("FALCOWATCH_METRICS_PORT", "tcp://10.0.0.1:9801"),
        ("FALCOWATCH_METRICS_PORT_9801_TCP_PORT", "9801"),
    ],
)
def test_variables_that_kubelet_sets_for_a_service_are_ignored(name, value):
    assert load_settings({name: value}).settings == Settings()


def test_variables_without_the_prefix_are_ignored():
    assert load_settings({"FALCO_HOSTNAME": "x", "falcowatch_nothing": "x", "AWS_REGION": "y"}).sources == {}


# Values in the file.


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "tail:\nenrich:\n  # mode: api\n"])
def test_an_empty_file_or_section_is_valid(config, text):
    assert config(text).settings == Settings()


def test_on_and_off_are_words_where_words_are_expected(config):
    # YAML 1.1 reads an unquoted `off` as false.
    assert config("cloudwatch: {sequence_tokens: off}").settings.cloudwatch.sequence_tokens == "off"
    assert config("cloudwatch: {sequence_tokens: on}").settings.cloudwatch.sequence_tokens == "on"


# Errors.


def test_every_error_is_reported_at_once_with_path_value_source_and_expectation(problems, tmp_path):
    found = problems(
        "http: {port: 99999}\nfalco: {minimum_priority: loud}\nlog: {colour: blue}\n"
        "cloudwatch: {retention_days: 8}\ncluster_nmae: x\n",
        TAIL__SCAN_SECONDS="often",
        TAIL__PATHS="/var/log/*.json",
        HTPP__PORT="1",
    )

    file = tmp_path / "config.yaml"
    assert sorted(found) == sorted(
        [
            "FALCOWATCH_HTPP__PORT: is not a setting; did you mean FALCOWATCH_HTTP__PORT?",
            'FALCOWATCH_TAIL__PATHS = \'/var/log/*.json\': must be JSON, such as ["a", "b"]',
            "tail.scan_seconds = 'often' (from FALCOWATCH_TAIL__SCAN_SECONDS): must be a number of seconds, or a "
            "duration such as 30s, 5m or 1h30m",
            f"http.port = 99999 (from {file}): must be at most 65535",
            f"falco.minimum_priority = 'loud' (from {file}): is not a priority; use one of emergency, alert, critical, "
            "error, warning, notice, informational, debug",
            f"log.colour (from {file}): is not a setting; the keys of this section are level, format",
            f"cloudwatch.retention_days = 8 (from {file}): is not a retention of CloudWatch; use one of 1, 3, 5, 7, "
            "14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653",
            f"cluster_nmae (from {file}): is not a setting; did you mean cluster_name?",
        ]
    )


def test_a_map_in_the_environment_must_be_a_json_object(problems):
    assert problems(CLOUDWATCH__TAGS="team=security") == [
        'FALCOWATCH_CLOUDWATCH__TAGS = \'team=security\': must be JSON, such as {"key": "value"}'
    ]


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"HTTP_PORT": "9802"}, "FALCOWATCH_HTTP_PORT: is not a setting; did you mean FALCOWATCH_HTTP__PORT?"),
        ({"PORT": "9802"}, "FALCOWATCH_PORT: is not a setting; did you mean FALCOWATCH_HTTP__PORT?"),
        (
            {"TAIL": "{}"},
            "FALCOWATCH_TAIL: is a section, not a setting; set one of its keys, such as FALCOWATCH_TAIL__ROOT",
        ),
        (
            {"CLOUDWATCH__TAGS__TEAM": "x"},
            "FALCOWATCH_CLOUDWATCH__TAGS__TEAM: is not a setting; did you mean FALCOWATCH_CLOUDWATCH__TAGS?",
        ),
        ({"ZZZ": "x"}, "FALCOWATCH_ZZZ: is not a setting; `falcowatch check` lists all settings"),
    ],
)
def test_a_variable_that_is_not_a_setting_is_reported_with_a_proposal(problems, environ, problem):
    assert problems(**environ) == [problem]


def test_a_section_that_is_not_a_mapping_is_reported_even_when_the_environment_sets_its_keys(problems, tmp_path):
    assert problems("tail: /var/log/pods", TAIL__START_AT="end") == [
        f"tail = '/var/log/pods' (from {tmp_path / 'config.yaml'}): must be a mapping of settings"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- a\n- b\n", "{file}: contains a list; must be a mapping of settings"),
        (
            "tail: [",
            "{file}: is not valid YAML at line 1, column 8 (expected the node content, but found '<stream end>')",
        ),
        (
            "enrich:\n  labels:\n    - '*'\n    - !team\n",
            '{file}: is not valid YAML at line 4, column 7 (a text that begins with "!" must be in quotes)',
        ),
        (b"cluster_name: \xff", "{file}: is not valid YAML (it contains characters that are not UTF-8 text)"),
        ("tail: {}\nhttp: {}\ntail: {}\n", "{file}: is not valid YAML at line 3, column 1 (key 'tail' appears twice)"),
    ],
)
def test_a_file_that_is_not_a_configuration_is_reported_with_line_and_column(problems, tmp_path, text, problem):
    assert problems(text) == [problem.format(file=tmp_path / "config.yaml")]


def test_a_file_that_cannot_be_read_is_reported_together_with_other_errors(tmp_path):
    with pytest.raises(SettingsError) as refused:
        load_settings({"FALCOWATCH_HTTP__PORT": "no"}, tmp_path / "missing.yaml")

    assert refused.value.problems == [
        f"{tmp_path / 'missing.yaml'}: cannot be read (No such file or directory); "
        "pass another file with --config or FALCOWATCH_CONFIG",
        "http.port = 'no' (from FALCOWATCH_HTTP__PORT): must be a whole number",
    ]


def test_a_key_that_is_not_text_is_an_unknown_setting(problems, tmp_path):
    [first, second] = problems("9801: x\ncloudwatch: {true: y}")

    assert first.startswith(
        f"cloudwatch.true (from {tmp_path / 'config.yaml'}): is not a setting; the keys of this section are"
    )
    assert second.startswith(
        f"9801 (from {tmp_path / 'config.yaml'}): is not a setting; the keys of this section are node_name,"
    )


def test_a_directory_as_configuration_file_is_reported(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings({}, tmp_path)


def test_a_long_value_is_shortened_in_the_message(problems):
    [problem] = problems(HTTP__PORT="9" * 5_000 + "x")

    assert len(problem) < 300


def test_the_default_file_counts_only_when_it_exists():
    assert load_settings({}).config_path in (None, Path("/etc/falcowatch/config.yaml"))
