"""The first screen: every command of README.md exists and fits the others, and its links and pictures have a target.

The commands are run by a shell with recorders in place of the programs. Then each recorded call is checked: AWS calls
against moto or the AWS model, charts by rendering them, the rest by the program's own parser or help.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from botocore.validate import ParamValidator

from agent.cli import command_parser
from agent.settings import load_settings
from tests.deploy.cloudformation import Stack
from tests.deploy.conftest import Runner, documents
from tests.deploy.quickstart import (
    ACCOUNT,
    BY_HAND,
    GLOBAL_OPTIONS,
    options,
    recorded_calls,
    shell_blocks,
)
from tests.deploy.test_prometheus_rules import anchors

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
STACK = ROOT / "manifests/aws/stack.yaml"
LARGEST_PICTURE_BYTES = 250_000

Call = list[str]


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    promises = re.findall(r"\| `([^`|]+)` \|$", README.read_text(), re.MULTILINE)
    assert len(promises) == 6
    script = "\n".join([*shell_blocks(README), *promises])
    return recorded_calls(script, tmp_path_factory.mktemp("quickstart"))


def of(calls: list[Call], program: str, *start: str) -> list[Call]:
    """The arguments of the calls of a program that begin with these words."""
    return [call[1:] for call in calls if call[0] == program and tuple(call[1 : 1 + len(start)]) == start]


def parameters_of_the_stack(calls: list[Call]) -> dict[str, str]:
    (deploy,) = of(calls, "aws", "cloudformation", "deploy")
    return dict(word.split("=", 1) for word in deploy[deploy.index("--parameter-overrides") + 1 :])


def installation_of_the_agent(calls: list[Call]) -> Call:
    (install,) = of(calls, "helm", "upgrade", "--install", "falcowatch")
    return [str(ROOT / word) if word == "helm/falcowatch" else word for word in install[2:]]


def test_every_make_target_exists(calls: list[Call]):
    targets = of(calls, "make")

    assert ["demo"] in targets
    makefile = (ROOT / "Makefile").read_text()
    for target, *variables in targets:
        assert re.search(rf"^{target}:.* ## ", makefile, re.MULTILINE), target
        for variable in variables:
            assert f"$({variable.partition('=')[0]})" in makefile, variable
            assert (ROOT / variable.partition("=")[2]).exists(), variable


def test_every_module_and_its_options_exist(calls: list[Call]):
    runs = of(calls, "python", "-m")

    assert runs
    for _, module, *words in runs:
        command = [sys.executable, "-m", module, "--help"]
        help_text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert [name for name in options(words) if name not in help_text] == []


def test_the_fault_scenario_exists(calls: list[Call]):
    ((_, _, *words),) = of(calls, "python", "-m", "tests.faults")

    command = [sys.executable, "-m", "tests.faults", "--list"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert options(words)["--only"] in listed.split()


def test_the_command_line_takes_every_command(calls: list[Call]):
    commands = of(calls, "falcowatch")

    assert commands
    for words in commands:
        command_parser().parse_args(words)


def test_moto_or_the_model_of_aws_takes_every_call(calls: list[Call], aws: Any):
    session = botocore.session.get_session()
    made = [call for call in of(calls, "aws") if tuple(call[:2]) not in BY_HAND]

    assert made
    for service, operation, *words in made:
        model = session.get_service_model(service)
        names = {xform_name(name, "-"): name for name in model.operation_names}
        assert operation in names, f"aws {service} {operation}"
        shape = model.operation_model(names[operation]).input_shape
        members = {xform_name(name, "-"): name for name in shape.members} if shape else {}
        request = {members[name[2:]]: value for name, value in options(words).items() if name not in GLOBAL_OPTIONS}
        assert not ParamValidator().validate(request, shape).has_errors() if shape else not request
        if (service, operation) != ("eks", "create-addon"):  # moto has no add-ons
            getattr(aws(service), xform_name(names[operation]))(**request)


@pytest.mark.filterwarnings("ignore:Tried to parse AWS:UserWarning")  # moto warns about resources that it lacks
def test_moto_deploys_the_stack_of_the_quickstart(calls: list[Call], aws: Any):
    (deploy,) = of(calls, "aws", "cloudformation", "deploy")
    # moto does not support NoValue in a list, hence the two Allow parameters.
    parameters = parameters_of_the_stack(calls) | {"AllowExactResume": "true", "AllowDriftReport": "true"}

    aws("cloudformation").create_stack(
        StackName=options(deploy)["--stack-name"],
        TemplateBody=(ROOT / options(deploy)["--template-file"]).read_text(),
        Capabilities=[options(deploy)["--capabilities"]],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )

    described = aws("cloudformation").describe_stacks(StackName=options(deploy)["--stack-name"])["Stacks"][0]
    assert described["StackStatus"] == "CREATE_COMPLETE"


def test_the_chart_the_stack_and_the_queries_name_the_same_things(calls: list[Call], helm: Runner, tmp_path: Path):
    rendered = helm("template", *installation_of_the_agent(calls))

    assert rendered.returncode == 0, rendered.stderr
    objects = documents(rendered.stdout)
    stack = Stack(STACK, **parameters_of_the_stack(calls))
    (account,) = [one["metadata"] for one in objects if one["kind"] == "ServiceAccount"]
    association = stack.resources["PodIdentityAssociation"]
    assert (association["Namespace"], association["ServiceAccount"]) == (account["namespace"], account["name"])
    (config,) = [one["data"]["config.yaml"] for one in objects if "config.yaml" in one.get("data", {})]
    (tmp_path / "config.yaml").write_text(config)
    settings = load_settings({"FALCOWATCH_NODE_NAME": "node"}, tmp_path / "config.yaml").settings
    group = settings.log_group_template.format(cluster=settings.cluster_name)
    assert group == stack.resources["LogGroup"]["LogGroupName"]
    (tail,) = of(calls, "aws", "logs", "tail")
    assert tail[2] == group


def test_the_chart_runs_the_image_that_was_pushed(calls: list[Call], helm: Runner):
    (build,) = of(calls, "docker", "buildx", "build")
    objects = documents(helm("template", *installation_of_the_agent(calls)).stdout)

    (daemonset,) = [one for one in objects if one["kind"] == "DaemonSet"]

    image = daemonset["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == options(build)["--tag"]
    (repository,) = of(calls, "aws", "ecr", "create-repository")
    assert image.startswith(f"{ACCOUNT}.dkr.ecr.")
    assert image.partition("/")[2].partition(":")[0] == options(repository)["--repository-name"]


def test_the_release_that_is_tested_has_a_test(calls: list[Call], helm: Runner):
    (test,) = of(calls, "helm", "test")
    install = installation_of_the_agent(calls)

    rendered = helm("template", *install)

    assert (test[1], options(test)["--namespace"]) == (install[0], options(install)["--namespace"])
    assert "helm.sh/hook: test" in rendered.stdout.replace('"', "")


def test_the_files_and_the_version_of_falco_exist(calls: list[Call]):
    (install,) = of(calls, "helm", "upgrade", "--install", "falco")

    assert (ROOT / options(install)["-f"]).exists()
    assert (ROOT / f"tests/data/schemas/falco-chart-{options(install)['--version']}-values.yaml").exists()


def test_kubectl_and_helm_know_every_option(calls: list[Call], kubectl: Runner, helm: Runner):
    for program, run, verbs in (("kubectl", kubectl, 2), ("helm", helm, 1)):
        for words in of(calls, program):
            help_text = run(*words[:verbs], "--help").stdout + run("options").stdout
            # The one-letter form stands before the long one: `-f, --values`.
            unknown = [name for name in options(words) if not re.search(rf"(^|[\s,]){name}\b", help_text)]
            assert unknown == [], words


def test_every_link_and_picture_has_a_target():
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", README.read_text()):
        name, _, anchor = target.partition("#")
        assert (ROOT / name).exists(), target
        if anchor:
            assert anchor in anchors((ROOT / name).read_text()), target


def test_a_picture_is_small_and_loads_nothing_from_elsewhere():
    pictures = [ROOT / name for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README.read_text())]

    assert len(pictures) >= 2
    for picture in pictures:
        assert picture.stat().st_size < LARGEST_PICTURE_BYTES, picture
        if picture.suffix == ".svg":
            assert not re.search(r"(?:href|src|url\()\s*=?\s*[\"']?https?:", picture.read_text()), picture


def test_the_table_of_shippers_has_eight_rows_for_all_of_them():
    section = README.read_text().split("## Beside other shippers")[1].split("\n## ")[0]
    rows = [row.strip("|").split("|") for row in section.splitlines() if row.startswith("|")]

    assert [len(row) for row in rows] == [6] * (8 + 2)
    assert all(cell.strip() for row in rows[2:] for cell in row)
