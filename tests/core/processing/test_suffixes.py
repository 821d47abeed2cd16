"""The suffix of a pod is made once, and the cache of suffixes is bounded."""

from __future__ import annotations

from agent.core.processing.cases import NamedPod
from agent.core.processing.suffixes import MOST_SUFFIXES, Ending, FileSuffix, Suffix, SuffixCache
from agent.core.values import PodKey
from tests.core.processing.chunks import POD

FILE = FileSuffix.of("f00", Ending.of(b'","node":"n"}}'))


def named(name: str) -> NamedPod:
    return NamedPod(PodKey("ns", name, None, None), is_host=False)


def suffix_of(cache: SuffixCache, pod: NamedPod, file: FileSuffix = FILE) -> Suffix:
    return cache.of({pod: POD}, file)[pod]


def test_the_suffix_of_a_pod_is_made_once_for_a_file():
    cache = SuffixCache()
    pod = named("pod")

    assert suffix_of(cache, pod) is suffix_of(cache, pod)
    assert suffix_of(cache, pod, FileSuffix.of("f01", Ending.of(b'"}}'))).file == "f01"


def test_the_suffixes_of_a_chunk_are_given_by_pod():
    pods = [named("first"), named("second")]

    assert list(SuffixCache().of(dict.fromkeys(pods, POD), FILE)) == pods


def test_the_cache_is_emptied_when_it_is_full():
    cache, pod = SuffixCache(), named("first")
    first = suffix_of(cache, pod)

    for number in range(MOST_SUFFIXES):
        suffix_of(cache, named(str(number)))

    assert suffix_of(cache, pod) is not first
