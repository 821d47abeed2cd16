"""Compiles modules to bytecode without docstrings: `python compile_bytecode.py ROOT [FOLDER]`.

It compiles every module below FOLDER, or below ROOT, unless its bytecode is there already. Tracebacks show the path of
a module without ROOT.

The agent reads no docstring, and docstrings cost each node 2 MB (2026-11). Asserts are kept, because the tests run with
them; Python's own `-OO` would remove both. Python does not compare this bytecode with the sources at each start.

Run it with the Python of the image: only that version can load the bytecode. It needs only the standard library.
"""

from __future__ import annotations

import ast
import importlib.util
import marshal
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from types import CodeType

UNCHECKED_HASH = 1
"""The flags of PEP 552: the bytecode names its source by a hash, which is not checked."""

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def main() -> None:
    root, folder = Path(sys.argv[1]), Path(sys.argv[-1])
    with ProcessPoolExecutor() as pool:
        for _ in pool.map(partial(compile_module, root=root), sorted(folder.rglob("*.py")), chunksize=50):
            pass


def compile_module(path: Path, root: Path) -> None:
    """Writes the bytecode of one module to its `__pycache__`. Raises SyntaxError when it cannot be compiled."""
    source = path.read_bytes()
    target = Path(importlib.util.cache_from_source(str(path)))
    head = importlib.util.MAGIC_NUMBER + UNCHECKED_HASH.to_bytes(4, "little") + importlib.util.source_hash(source)
    if target.exists() and target.read_bytes().startswith(head):
        return
    code = without_docstrings(source, f"/{path.relative_to(root)}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(head + marshal.dumps(code))


def without_docstrings(source: bytes, shown: str) -> CodeType:
    """The code of a module whose name in tracebacks is `shown`."""
    tree = ast.parse(source, shown)
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED):
            # A text behind the docstring would take its place.
            while ast.get_docstring(node, clean=False) is not None:
                docstring = node.body.pop(0)
                node.body = node.body or [ast.copy_location(ast.Pass(), docstring)]
    code: CodeType = compile(tree, shown, "exec", dont_inherit=True)
    return code


if __name__ == "__main__":
    main()
