"""The digest of a file while seals are switched off can do what a FileDigest can do, and states nothing."""

from inspect import getmembers, isfunction, signature

from agent.core.proof.no_digest import NoDigest
from agent.core.proof.segment import FileDigest, Standing, Statement


def public(kind: type) -> set[str]:
    return {name for name, _ in getmembers(kind, isfunction) if not name.startswith("_")}


def test_it_has_the_methods_of_a_digest_with_the_same_arguments() -> None:
    assert public(NoDigest) == public(FileDigest)
    for name in public(NoDigest):
        expected = list(signature(getattr(FileDigest, name)).parameters)
        assert list(signature(getattr(NoDigest, name)).parameters) == expected, name


def test_whatever_happens_to_a_file_nothing_is_computed_kept_or_stated() -> None:
    computed, digest = FileDigest("f"), NoDigest("f")
    standing = computed.add([0], [b"a"], 10)
    assert isinstance(standing, Standing)

    digest.restart(0)
    digest.add([0], [b"a"], 10)
    digest.filter({"rule": 1})
    digest.count_unknown(1)
    digest.reject(0)
    digest.cross(20, 1)
    digest.add_crossed(10, b"b")
    digest.commit(standing)
    assert digest.statements(20) == []
    digest.forget_settled(20)
    digest.note_stated([Statement("f", 0, 20, 2)], 1)

    assert vars(digest) == {"file": "f", "unshipped": set(), "rejected": set()}
    assert (digest.is_computed, computed.is_computed) == (False, True)
