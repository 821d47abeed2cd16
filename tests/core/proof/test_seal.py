"""The shape of a seal, and its chain of keys."""

import hmac
from hashlib import sha256

import orjson

from agent.core.proof.seal import (
    Chain,
    FileStatement,
    SealState,
    first_key,
    head_of,
    mac_of,
    next_key,
    seal_body,
    seal_id,
    settings_digest,
    stated_in,
    with_mac,
    without_mac,
)
from agent.core.proof.segment import Statement


def test_the_first_seal_says_why_its_chain_begins_and_later_ones_do_not() -> None:
    chain = Chain("c0ffee", begins="first start")
    first = orjson.loads(seal_body(chain, [], started_ms=5, settings="abc"))
    assert first == {
        "version": 1,
        "chain": "c0ffee",
        "number": 1,
        "previous": "",
        "begins": "first start",
        "started": 5,
        "settings": "abc",
        "files": [],
    }

    following = chain.after(b"the message")
    second = orjson.loads(seal_body(following, [], started_ms=5, settings="abc", leaving=True, unsealed=["self:1:2"]))
    assert (second["number"], second["previous"]) == (2, sha256(b"the message").hexdigest())
    assert "begins" not in second
    assert (second["leaving"], second["unsealed"]) == (True, ["self:1:2"])
    assert seal_id(following) == "self:seal:c0ffee:2"


def test_a_statement_names_rejected_records_by_their_ids() -> None:
    statement = Statement("f", 10, 90, 4, {"rule": 1}, (30,), "ab")

    assert orjson.loads(FileStatement(statement, [(90, 95, "deleted")]).encoded()) == {
        "file": "f",
        "from": 10,
        "to": 90,
        "shipped": 4,
        "filtered": {"rule": 1},
        "rejected": ["f:30"],
        "gaps": [[90, 95, "deleted"]],
        "sha256": "ab",
    }


def test_a_statement_names_the_seal_that_stated_its_segment_first() -> None:
    new = FileStatement(Statement('f,"since":1', 0, 9)).encoded()
    known = FileStatement(Statement("f", 0, 9, since=3)).encoded()

    assert orjson.loads(stated_in(new, 8))["since"] == 8
    assert orjson.loads(stated_in(known, 8))["since"] == 3


def test_the_code_is_computed_over_the_message_without_it() -> None:
    body = seal_body(Chain("c"), [], started_ms=1, settings="s")
    message = b'{"rule":"x","seal":%b,"falcowatch":{"id":"i"}}'
    signed = message % with_mac(body, mac_of(message % body, b"key"))

    assert without_mac(signed) == message % body
    assert without_mac(message % body) == message % body
    expected = hmac.new(b"key", message % body, "sha256").hexdigest()
    assert orjson.loads(signed)["seal"]["mac"] == f"hmac-sha256:{expected}"


def test_the_key_moves_on_with_each_seal() -> None:
    key = first_key(b"secret", "c")
    chain = Chain("c", key=key.hex())

    following = chain.after(b"m")

    assert following.key == next_key(key).hex() == sha256(b"falcowatch next seal key" + key).hexdigest()
    assert Chain("c").after(b"m").key == ""
    assert first_key(b"secret", "d") != key


def test_the_head_is_the_first_48_bits_of_the_digest() -> None:
    assert head_of("ffffffffffff0000") == 2**48 - 1
    assert head_of("") == 0


def test_the_state_survives_the_checkpoint() -> None:
    statement = FileStatement(Statement("f", 0, 5)).encoded()
    state = SealState(Chain("c", 3, "ab", "first start", "cd"), (statement,), {"f": ([1], [2, 3])})

    decoded = SealState.decoded(orjson.loads(state.encoded()))

    assert decoded == SealState(state.chain, state.files, {"f": ((1,), (2, 3))})


def test_the_digest_of_the_settings_changes_with_a_setting() -> None:
    assert settings_digest({"a": 1, "b": 2}) == settings_digest({"b": 2, "a": 1}) != settings_digest({"a": 1, "b": 3})
