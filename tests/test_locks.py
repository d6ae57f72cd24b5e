"""What is committed works anywhere: no lock file says where packages come from, no path is ours."""

import json
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Hosts that serve packages, spelt so that this file does not name them: a lock naming one breaks
# every mirror and every offline machine.
REGISTRY = re.compile(
    rb"pyp[i]\.org|pythonhoste[d]\.org|registry\.npm[j]s|registry\.yarn[p]kg|npm[j]s\.org"
    rb"|download\.pyt[o]rch\.org"
    rb"|index-url\s*=|--(?:extra-)?index-url\s+\S|--find-links\s+\S"
)
LOCKS = ("requirements.lock", "web/package-lock.json")


def committed() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    return [ROOT / name.decode() for name in listed.split(b"\0") if name]


def test_no_committed_file_names_a_registry():
    for path in committed():
        if not path.is_file() or path.suffix in {".wav", ".safetensors"}:
            continue
        found = REGISTRY.search(path.read_bytes())
        assert found is None, f"{path.relative_to(ROOT)} names {found and found[0]!r}"


def test_lock_files_have_no_addresses():
    for name in LOCKS:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"https?://\S+\.(?:whl|tgz|tar\.gz|zip)", text), name
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        assert "@ " not in line, line
        assert "://" not in line, line


def test_every_python_package_is_pinned_exactly():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.lstrip().startswith("#")]
    assert len(pins) > 50
    for line in pins:
        # Without a local build tag: which build of torch fits is the machine's affair.
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*(?: ;.+)?", line), line


def test_npm_s_lock_pins_contents_but_no_place():
    lock = json.loads((ROOT / "web" / "package-lock.json").read_text(encoding="utf-8"))
    for path, about in lock["packages"].items():
        assert "resolved" not in about, path
        if path:
            assert about.get("integrity", "").startswith("sha512-"), path
