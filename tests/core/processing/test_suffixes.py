"""The suffix of a pod is made once, and the cache of suffixes is bounded."""

from __future__ import annotations

from agent.core.processing.cases import NamedPod
from agent.core.processing.suffixes import MOST_SUFFIXES, Ending, FileSuffix, SuffixCache
from agent.core.values import PodKey
from tests.core.processing.chunks import POD

FILE = FileSuffix.of("f00", Ending.of(b'","node":"n"}}'))


def named(name: str) -> NamedPod:
    return NamedPod(PodKey("ns", name, None, None), is_host=False)


def test_the_suffix_of_a_pod_is_made_once_for_a_file():
    cache = SuffixCache()
    pod = named("pod")

    assert cache.of(pod, POD, FILE) is cache.of(pod, POD, FILE)
    assert cache.of(pod, POD, FileSuffix.of("f01", Ending.of(b'"}}'))).file == "f01"


def test_the_cache_is_emptied_when_it_is_full():
    cache, pod = SuffixCache(), named("first")
    first = cache.of(pod, POD, FILE)

    for number in range(MOST_SUFFIXES):
        cache.of(named(str(number)), POD, FILE)

    assert cache.of(pod, POD, FILE) is not first
