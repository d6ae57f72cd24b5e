"""docs/licences.md is complete and true, and only the espeak extra is copyleft in earnest."""

import importlib.metadata
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location("licences", ROOT / "docs" / "licences.py")
assert _spec is not None
assert _spec.loader is not None
licences = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(licences)

PAGE = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| (\S+) \| (.+) \|$", PAGE, re.M))
# Libraries inside wheels whose licence is not permissive; the page must name each that is there.
COPYLEFT = ("x264", "x265", "avcodec", "mp3lame", "gmp", "gnutls", "nettle", "hogweed", "unistring")
COPYLEFT += ("asound", "sndfile", "gfortran", "quadmath", "gomp", "espeak-ng")


def parts(expression: str) -> list[str]:
    """The single licences of an SPDX expression, exceptions left out (they only allow more)."""
    return re.split(r" AND | OR ", re.sub(r" WITH \S+", "", expression))


def test_the_page_is_what_the_script_writes():
    assert licences.render() == PAGE, "run python docs/licences.py"


def test_every_runtime_package_is_listed():
    groups = licences.groups()
    runtime = set().union(*(names for group, names in groups.items() if group != "dev"))
    assert set(licences.lock()) == runtime | groups["dev"]  # nobody is in the lock for no reason
    assert runtime <= set(ROWS)
    assert not groups["dev"] & set(ROWS)
    assert {"torch", "pipecat-ai", "websockets"} <= groups["core"]
    assert {"pytest", "ruff"} <= groups["dev"]


@pytest.mark.parametrize("group", ["core", "espeak", "s2s", "train", "otel", "ray", "bench"])
def test_licences_are_allowed(group):
    for package in licences.groups()[group]:
        stated = licences.licence(package)
        if package in licences.WEAK:
            assert stated == licences.WEAK[package]
        elif "GPL" in stated:
            assert group == "espeak", f"{package} is {stated}: only the espeak extra may be"
        else:
            for one in parts(stated):
                assert one in licences.PERMISSIVE, (
                    f"{package}: {stated!r} is not known as permissive"
                )


def test_what_metadata_says_is_not_overruled():
    """A licence stated by hand must agree with whatever the package itself says about it."""
    for package, stated in licences.STATED.items():
        about = importlib.metadata.metadata(package).json
        said = f"{about.get('license', '')} {about.get('classifier', [])}"
        for word in ("GPL", "BSD", "MIT License", "Apache"):
            if re.search(rf"\b{word}|License :: .*{word}", said) and len(said) < 20_000:
                assert word.split()[0] in stated, f"{package}: {said}"


def test_npm_packages_are_permissive_and_listed():
    for name, stated in licences.npm().items():
        assert ROWS[name] == stated
        for one in parts(stated):
            assert one in licences.PERMISSIVE, f"{name}: {stated!r}"


def test_every_shipped_checkpoint_has_a_card_with_a_licence():
    folders = {f"{p.parent.name}/{p.name}" for p in (ROOT / "weights").glob("*/*") if p.is_dir()}
    cards = dict(licences.weights())
    assert set(cards) == folders
    for folder, stated in cards.items():
        assert stated.lower() == "apache-2.0", (
            f"{folder}: license: {stated or 'missing'} in its card"
        )
        assert ROWS[folder] == stated


def test_copyleft_libraries_inside_wheels_are_named():
    site = Path(str(importlib.metadata.distribution("numpy").locate_file("")))
    table = PAGE[PAGE.index("## Libraries inside") : PAGE.index("## Page")]
    inside = [p for pattern in ("*.libs/*", "_soundfile_data/*", "espeakng_loader/*", "torch/lib/*")
              for p in site.glob(pattern)]  # fmt: skip
    assert inside
    for path in inside:
        for library in COPYLEFT:
            if path.name.startswith(f"lib{library}"):
                owner = path.parent.name.removesuffix(".libs").strip("_").partition("_data")[0]
                owner = {"espeakng_loader": "espeakng-loader", "lib": "torch"}.get(owner, owner)
                rows = [row for row in table.splitlines() if library.removeprefix("av") in row]
                assert any(f"`{owner}`" in row for row in rows), f"{owner} carries {path.name}"
