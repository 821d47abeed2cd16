"""Which log shippers can be measured beside the agent, and what is said about those that are not installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import known_peers
from benchmarks.known_peers import CONFIGURATIONS, KNOWN_PEERS, MissingPeer, command_of, named


@pytest.fixture(autouse=True)
def _nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_peers, "PEERS", tmp_path / "peers")
    monkeypatch.setenv("PATH", str(tmp_path))


def test_each_peer_has_its_configuration():
    for known in KNOWN_PEERS:
        command = command_of(known, {known.variable: "/opt/it"})
        [configuration] = [word for word in command.split() if word.startswith(str(CONFIGURATIONS))]
        assert Path(configuration).is_file()
        assert "/opt/it" in command


def test_a_peer_below_tools_goes_before_one_on_the_path_and_a_variable_before_both(tmp_path):
    peer = named("tenzir")
    on_path = tmp_path / "tenzir"
    installed = tmp_path / "peers" / "tenzir" / "run"
    installed.parent.mkdir(parents=True)
    for path in (on_path, installed):
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)

    assert command_of(peer, {}).startswith(f"{installed} ")
    assert command_of(peer, {"PEER_TENZIR": "/opt/tenzir"}).startswith("/opt/tenzir ")
    installed.unlink()
    assert command_of(peer, {}).startswith(f"{on_path} ")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tenzir", ["benchmarks.install_peers tenzir", "PEER_TENZIR=/path/to/tenzir"]),
        ("fluent-bit", ["neither PyPI nor Debian has it", "PEER_FLUENT_BIT=/path/to/fluent-bit"]),
    ],
)
def test_a_peer_that_is_not_installed_says_how_to_get_it(name, said):
    with pytest.raises(MissingPeer) as raised:
        command_of(named(name), {})

    assert all(words in str(raised.value) for words in said)


def test_a_log_shipper_without_a_configuration_here_can_be_given_as_a_command():
    with pytest.raises(MissingPeer) as raised:
        named("vector")

    assert "PEER='--peer vector=COMMAND'" in str(raised.value)


def test_the_installer_names_what_cannot_be_had_and_fails():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.install_peers", "vector"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stderr.startswith("vector: has no configuration")
