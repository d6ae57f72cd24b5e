"""Writes docs/licences.md from what is installed, locked and shipped.

    python docs/licences.py            rewrite docs/licences.md
    python docs/licences.py --check    exit 1 if it is out of date

Packages come from requirements.lock (who needs what is in its `# via` lines), their licences from
their own metadata; npm packages from web/package-lock.json; weights from their model cards. What a
metadata file does not say is said in `STATED`, with the reason.
"""

import importlib.metadata as metadata
import json
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "licences.md"
PERMISSIVE = {
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "CNRI-Python"),
    *("ISC", "MIT", "MIT-0", "MIT-CMU", "OFL-1.1", "PSF-2.0", "Zlib"),
}
# Weak copyleft: the package stays a separate file that a user may replace; none is changed here.
WEAK = {
    "certifi": "MPL-2.0",  # a list of root certificates, requests reads it; only in the otel extra
    "num2words": "LGPL-2.1-or-later",  # pure Python, a requirement of Pipecat; not imported here
    "soxr": "LGPL-2.1-or-later",  # a shared library, loaded at run time; Pipecat resamples with it
    "tqdm": "MPL-2.0 AND MIT",  # progress bars of huggingface-hub; file-level copyleft
}
# What package metadata leaves open, from the licence file inside the package or its repository.
STATED = {
    "espeakng-loader": "GPL-3.0-or-later",  # no statement of its own; it carries espeak-ng
    "jinja2": "BSD-3-Clause",
    "mpmath": "BSD-3-Clause",
    "num2words": WEAK["num2words"],
    "numba": "BSD-2-Clause",
    "pyasn1-modules": "BSD-2-Clause",
    "resemblyzer": "Apache-2.0",
    "scipy": "BSD-3-Clause",
    "speechmos": "MIT",
    "sphn": "Apache-2.0",
    "sympy": "BSD-3-Clause",
    # The same for every build of it (CPU, CUDA), whose metadata differ.
    "torch": "Apache-2.0 AND BSD-2-Clause AND BSD-3-Clause AND BSL-1.0 AND MIT",
}
SPELLINGS = {
    "Apache 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD 3-Clause License": "BSD-3-Clause",
    "ISC License": "ISC",
    "MIT License": "MIT",
}
REQUIREMENT = re.compile(r"^[A-Za-z0-9._-]+")


def normal(name: str) -> str:
    """A package name as the lock writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def lock() -> dict[str, set[str]]:
    """Every locked package and the packages that need it (`maata` among them)."""
    needed_by: dict[str, set[str]] = {}
    package = ""
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if found := re.match(r"([a-z0-9-]+)==", line):
            package = found[1]
            needed_by[package] = set()
        elif found := re.match(r"\s+#\s+(?:via\s+)?(?!via$)([a-z0-9-]+)", line):
            needed_by[package].add(found[1])
    return needed_by


def reach(roots: set[str], needed_by: dict[str, set[str]]) -> set[str]:
    """Everything the roots need, themselves included."""
    found = roots & set(needed_by)
    while more := {p for p, by in needed_by.items() if by & found} - found:
        found |= more
    return found


def groups() -> dict[str, set[str]]:
    """Packages by the extra that brings them in, "core" first; a package is listed once."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {"core": project["dependencies"], **project["optional-dependencies"]}
    needed_by, seen, found = lock(), set(), {}
    for group, requirements in sorted(asked.items(), key=lambda item: item[0] == "dev"):
        roots = {normal(m[0]) for r in requirements if (m := REQUIREMENT.match(r))}
        found[group] = reach(roots, needed_by) - seen
        seen |= found[group]
    return found


def licence(package: str) -> str:
    """The licence of an installed package as an SPDX expression."""
    if package in STATED:
        return STATED[package]
    about = metadata.metadata(package).json
    stated = str(about.get("license_expression") or about.get("license") or "").strip()
    if not stated or "\n" in stated:
        classifiers = [str(c) for c in about.get("classifier", [])]
        named = [c.split(" :: ")[-1] for c in classifiers if c.startswith("License")]
        stated = " OR ".join(SPELLINGS.get(n, n) for n in named)
    return SPELLINGS.get(stated, stated)


def npm() -> dict[str, str]:
    """What the page's bundle may contain, from npm's lock (development tools left out)."""
    packages = json.loads((ROOT / "web" / "package-lock.json").read_text("utf-8"))["packages"]
    return {
        path.rpartition("node_modules/")[2]: about.get("license", "").strip("()")
        for path, about in packages.items()
        if path and not about.get("dev")
    }


def weights() -> list[tuple[str, str]]:
    """Shipped checkpoints: folder below weights/ and the `license:` of the model card."""
    found = []
    for card in sorted((ROOT / "weights").glob("*/*/README.md")):
        named = re.search(r"^license:\s*(\S+)", card.read_text(encoding="utf-8"), re.M)
        found.append((f"{card.parent.parent.name}/{card.parent.name}", named[1] if named else ""))
    return found


def render() -> str:
    """The whole page."""
    return (
        (ROOT / "docs" / "licences.in.md")
        .read_text(encoding="utf-8")
        .format(
            packages="\n\n".join(
                _group(name, names) for name, names in groups().items() if name != "dev"
            ),
            npm=_table(("package", "licence"), sorted(npm().items())),
            weights=_table(("weights", "licence"), weights()),
        )
    )


def _group(name: str, packages: set[str]) -> str:
    title = "Core" if name == "core" else f"Extra `{name}`"
    return f"### {title}\n\n" + _table(
        ("package", "licence"), [(p, licence(p)) for p in sorted(packages)]
    )


def _table(heads: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    lines = [heads, ("---", "---"), *rows]
    return "\n".join(f"| {a} | {b} |" for a, b in lines)


if __name__ == "__main__":
    written = render()
    if "--check" in sys.argv:
        sys.exit(
            0 if PAGE.read_text(encoding="utf-8") == written else "run python docs/licences.py"
        )
    PAGE.write_text(written, encoding="utf-8")
