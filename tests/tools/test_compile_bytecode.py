"""The bytecode of the image has no docstrings, keeps asserts and lines, and is loaded without a look at the source."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.image.compile_bytecode import compile_module, without_docstrings

MODULE = '''"""Module."""
from __future__ import annotations


class Pod:
    """Class."""
    """A second text."""


async def read():
    """Function."""


def fail():
    """Function
    with two lines."""
    assert False, "kept"


TEXT = """not a docstring"""
'''


def test_docstrings_are_removed_and_other_texts_and_asserts_are_kept():
    names: dict[str, object] = {}
    exec(without_docstrings(MODULE.encode(), "pod.py"), names)

    assert [getattr(names[name], "__doc__", "") for name in ("Pod", "read", "fail")] == [None, None, None]
    assert names["TEXT"] == "not a docstring"
    with pytest.raises(AssertionError, match="kept") as caught:
        names["fail"]()  # type: ignore[operator]
    assert caught.traceback[-1].lineno + 1 == MODULE.splitlines().index('    assert False, "kept"') + 1


def test_the_bytecode_is_loaded_although_the_source_has_changed(tmp_path: Path):
    path = tmp_path / "opt" / "pod.py"
    path.parent.mkdir()
    path.write_text(MODULE)
    environment = {"PATH": "/usr/bin:/bin"}
    compiler = (
        "import sys; from pathlib import Path; from tools.image.compile_bytecode import compile_module; "
        f"compile_module(Path({str(path)!r}), Path({str(tmp_path)!r}))"
    )
    subprocess.run([sys.executable, "-c", compiler], cwd=Path(__file__).parents[2], env=environment, check=True)
    path.write_text("raise RuntimeError('the source was read')")

    program = "import pod; print(pod.__doc__, pod.TEXT)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=path.parent, env=environment, capture_output=True, text=True, check=False
    )

    assert done.stdout == "None not a docstring\n", done.stderr


def test_a_module_that_cannot_be_compiled_is_an_error(tmp_path: Path):
    (tmp_path / "broken.py").write_text("def")

    with pytest.raises(SyntaxError, match=r"broken\.py"):
        compile_module(tmp_path / "broken.py", tmp_path)
