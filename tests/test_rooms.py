"""The import table of the house, read off the syntax trees: who may know whom.

Imports inside functions count like any other, except where a room is opened lazily by design (the
command line); imports that only a type checker sees do not run and do not count.
"""

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("maata", "pipelines", "services", "models", "training", "benchmarks")
# What a room may import of ours, besides itself; a name allows everything below it.
TABLE = {
    "maata": (),
    "pipelines": ("services", "models", "maata"),
    "services": ("models", "maata.profile"),
    "models": (),
    "training": ("models", "maata.profile"),
    # A synthesizer speaks the bench's callers, a recogniser judges, voices and spectra are
    # compared: instruments, from outside.
    "benchmarks": (
        "maata.profile",
        "models.telugu",
        "models.audio",
        "models.espeak",
        "models.mel",
        "models.speaker",
        "models.voices",
        "models.weights",
        "models.whisper",
    ),
}
PIPECAT = {"pipelines": "pipecat", "services": "pipecat", "benchmarks": "pipecat.frames.protobufs"}
# A name of somebody else's, and the files (globs from the root) that alone may import it.
ONLY = {
    "fastapi": ("pipelines/server*.py",),
    "uvicorn": ("pipelines/run.py", "pipelines/server*.py"),
    "espeakng_loader": ("models/espeak*.py",),
    "typer": ("maata/cli.py", "maata/errors.py", "maata/recipes.py"),
    "ctranslate2": ("models/*.py", "pipelines/engine_checks.py", "training/*.py"),
    "torch": ("models/*.py", "training/*.py"),
    "soxr": ("models/audio.py",),
    "ray": ("pipelines/cluster/*.py",),
    "sphn": ("pipelines/moshi_wire.py", "benchmarks/caller/moshi_line.py"),
    # The bench reads and writes recordings of its own in compressed forms.
    "soundfile": ("models/audio.py", "benchmarks/sound/stereo.py"),
}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def files() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def imports(path: Path, *, lazy: bool = True) -> Iterator[str]:
    """The dotted names a file imports; `from a import b` gives `a.b`."""
    tree = parsed(path)
    package = path.relative_to(ROOT).parent.parts

    def visit(node: ast.AST, inside: bool) -> Iterator[str]:
        if isinstance(node, ast.Import) and (lazy or not inside):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (lazy or not inside):
            up = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*up, *([node.module] if node.module else [])))
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.orelse:
                yield from visit(child, inside)
        else:
            inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for child in ast.iter_child_nodes(node):
                yield from visit(child, inside)

    yield from visit(tree, inside=False)


def within(name: str, allowed: str) -> bool:
    return name == allowed or name.startswith(f"{allowed}.")


def label(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_rooms_import_downwards_only():
    for path in files():
        room = path.relative_to(ROOT).parts[0]
        for name in imports(path, lazy=room != "maata"):
            other = name.partition(".")[0]
            if other in ROOMS and other != room:
                allowed = TABLE[room]
                assert any(within(name, a) for a in allowed), f"{label(path)} imports {name}"


def test_no_room_imports_the_tests():
    for path in files():
        assert not any(within(name, "tests") for name in imports(path)), label(path)


def test_pipecat_stays_where_frames_are():
    for path in files():
        room = path.relative_to(ROOT).parts[0]
        for name in imports(path):
            if within(name, "pipecat"):
                assert within(name, PIPECAT.get(room, "!")), f"{label(path)} imports {name}"


@pytest.mark.parametrize("package", sorted(ONLY))
def test_some_packages_have_one_home(package):
    for path in files():
        if any(within(name, package) for name in imports(path)):
            homes = [ROOT.glob(pattern) for pattern in ONLY[package]]
            assert any(path in home for home in homes), f"{label(path)} imports {package}"


def test_the_core_does_not_need_espeak():
    """Every room can be imported without the GPL extra: it is reached for when it is to speak."""
    for path in files():
        assert not any(within(n, "espeakng_loader") for n in imports(path, lazy=False)), label(path)
    code = "import sys; sys.modules['espeakng_loader'] = None; import models.espeak"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("room", [*ROOMS, "tests"])
def test_names_resolve_to_this_repository(room):
    """Wheels ship packages of the same general names; ours must win."""
    spec = importlib.util.find_spec(room)
    assert spec is not None
    assert Path(str(spec.origin)) == ROOT / room / "__init__.py"


def test_every_file_says_what_it_is():
    for path in files():
        said = ast.get_docstring(parsed(path))
        assert said, f"{label(path)} has no docstring"
        assert len(said.split()) > 5, f"{label(path)}: {said!r} says little"


def test_the_reader_of_imports_reads(tmp_path, monkeypatch):
    """The rules above are only as good as what they see."""
    monkeypatch.setattr("tests.test_rooms.ROOT", tmp_path)
    path = tmp_path / "a" / "b" / "c.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "import x.y, z\nfrom p import q as r\nfrom . import s\nfrom ..t import u\n"
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import hidden\n"
        "def f():\n    import lazy\nclass C:\n    import early\ntry:\n    import maybe\n"
        "finally: ...\n"
    )
    eager = ["x.y", "z", "p.q", "a.b.s", "a.t.u", "typing.TYPE_CHECKING"]
    assert list(imports(path)) == [*eager, "lazy", "early", "maybe"]
    assert list(imports(path, lazy=False)) == [*eager, "early", "maybe"]
