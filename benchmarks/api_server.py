"""A fake Kubernetes API server with the pods of one node, for an agent that watches pods as in a cluster.

It is the server of `enrich_cost`: it lists 110 pods of realistic size and then sends 1,000 changes of them.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import orjson

from benchmarks.enrich_cost import PODS, pod, serve


@contextmanager
def api_server(place: Path) -> Iterator[None]:
    """Run the server during the `with` block. Processes started in the block find it through $KUBECONFIG."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    listed = orjson.dumps({"metadata": {"resourceVersion": "100"}, "items": [pod(number) for number in range(PODS)]})
    process = context.Process(target=_serve, args=(listed, theirs), daemon=True)
    process.start()
    before = os.environ.get("KUBECONFIG")
    try:
        kubeconfig = place / "kubeconfig"
        kubeconfig.write_bytes(_kubeconfig(ours.recv()))
        os.environ["KUBECONFIG"] = str(kubeconfig)
        yield
    finally:
        os.environ.pop("KUBECONFIG", None)
        if before is not None:
            os.environ["KUBECONFIG"] = before
        process.terminate()
        process.join()


def _serve(listed: bytes, pipe: Connection) -> None:
    # An agent that exits during a watch is normal here, so the server logs no errors.
    logging.disable(logging.CRITICAL)
    serve(listed, pipe)


def _kubeconfig(url: str) -> bytes:
    # JSON is YAML.
    return orjson.dumps(
        {
            "current-context": "bench",
            "clusters": [{"name": "bench", "cluster": {"server": url}}],
            "users": [{"name": "bench", "user": {"token": "bench"}}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        }
    )
