"""`maata doctor`: what this machine can run, and what is missing, in plain words.

Looks (`doctor_probes`), judges (`doctor_checks`), counts (`doctor_capacity`); here it is only told.
Starts nothing, fetches nothing, needs no GPU and no network.
"""

import json
from dataclasses import asdict

from maata.doctor_capacity import capacities
from maata.doctor_checks import checks
from maata.doctor_probes import Probes
from maata.profile import Profile

MARKS = {"ok": ("ok", "green"), "warn": ("look", "yellow"), "fail": ("FAILS", "red")}


def run_doctor(profile: Profile, *, as_json: bool = False, probes: Probes | None = None) -> int:
    """The command.

    Args:
        profile: what is to be served here.
        as_json: print one JSON object as the last line of stdout.
        probes: other questions than those to this machine.

    Returns:
        0 when everything the profile needs is here, else 1.
    """
    from rich.console import Console

    from models.base_language import notice

    probes = probes or Probes()
    findings = checks(profile, probes)
    engines = capacities(profile, probes, findings)
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"profile {profile.name}, engines {', '.join(profile.engines)}", markup=False)
    for found in findings:
        mark, style = MARKS[found.state]
        console.print(f"{mark:>5}", style=style, end="  ")
        console.print(f"{found.name}: {found.said}", markup=False)
        if found.remedy and found.state != "ok":
            console.print(f"       -> {found.remedy}", markup=False)
    for engine in engines:
        can = "can run" if engine.runs else "cannot run yet (see what fails above)"
        console.print(f"{engine.engine} {can}: {engine.said}", markup=False)
    told = ""
    if "s2s" in profile.engines and (told := notice(profile.s2s.model, profile.s2s.adapters)):
        console.print(f"note: {told}", markup=False)
    good = not any(f.state == "fail" for f in findings) and all(e.runs for e in engines)
    console.print("everything is here" if good else "something is missing", style="bold")
    if as_json:
        result = {
            "profile": profile.name,
            "ok": good,
            "findings": [asdict(f) for f in findings],
            "engines": [asdict(e) for e in engines],
            "notice": told,
        }
        print(json.dumps(result, ensure_ascii=False), flush=True)
    return 0 if good else 1
