"""A rater at a real listening page: from the code to the CSV file, and through a reload."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.listening.kit import write_kit
from benchmarks.ratings.ratings import summarise
from tests.benchmarks.listening_run import write_run
from tests.web.browser import chromium

pytestmark = pytest.mark.page


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run") / "r"
    write_run(run, conversations=1, turns=1, seconds=0.5)
    return write_kit(run, run / "kit")


@pytest.fixture(scope="module")
def browser(browser_path: str) -> Iterator[Browser]:
    with chromium(browser_path) as opened:
        yield opened


def enter(browser: Browser, kit: Path, code: str) -> tuple[Page, list[str]]:
    """The page after its volume was set, and the errors it will have met."""
    page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(kit.as_uri())
    expect(page.get_by_role("heading", name="వినడానికి ఎలా ఉంది?")).to_be_visible()
    page.locator("#language").click()
    page.get_by_label("Your code").fill(code)
    page.get_by_role("button", name="Begin").click()
    page.get_by_role("button", name="The volume is right").click()
    return page, errors


def listen(page: Page) -> list[str]:
    """Hears all clips of the question to their end, by keys; returns their ids."""
    page.evaluate("for (const p of players) p.audio.playbackRate = 16")
    keys = [" "] if page.evaluate("players.size") == 1 else ["a", "b"]
    for at, key in enumerate(keys):
        page.keyboard.press(key)
        expect(page.locator(".player").nth(at)).to_have_class("player heard", timeout=20_000)
    return page.evaluate("[tasks[session.at].a, tasks[session.at].b].filter(Boolean)")


def test_a_rater_rates_all_reloads_and_the_file_is_understood(
    browser: Browser, kit: Path, tmp_path: Path
) -> None:
    key = json.loads((kit.parent / "key.json").read_text(encoding="utf-8"))
    page, errors = enter(browser, kit, " rk14 ")
    singles, pairs = len(key["clips"]), len(key["pairs"])
    for number in range(1, singles + 1):
        expect(page.locator(".progress b")).to_have_text(f"{number} of {singles + pairs}")
        if number == 1:
            page.keyboard.press("3")  # before anything was heard: must not count
            expect(page.get_by_role("button", name="Next", exact=True)).to_be_disabled()
        (clip,) = listen(page)
        page.keyboard.press(str(score(key, clip)))
        page.keyboard.press("Enter")
        if number == 2:
            page.wait_for_timeout(500)  # a browser hands what is kept to another process
            page.reload()
    page.get_by_role("button", name="Go on").click()
    for _ in range(pairs):
        clips = listen(page)
        better = min(range(2), key=lambda at: key["clips"][clips[at]]["role"] == "low")
        if all(key["clips"][c]["role"] == "engine" for c in clips):
            page.get_by_label("No difference").check()
        else:
            page.keyboard.press("13"[better])
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Thank you!")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download ratings (CSV)").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert not errors
    check_file(file, key)


def score(key: dict[str, Any], clip: str) -> int:
    """What this rater thinks: s2s 4, cascade 2."""
    about = key["clips"][clip]
    if about["role"] == "engine":
        return {"s2s": 4, "cascade": 2}[about["engine"]]
    return {"low": 1, "high": 5}.get(about["role"]) or about["expected"]


def check_file(file: Path, key: dict[str, Any]) -> None:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert {row["rater"] for row in rows} == {"RK14"}
    assert [int(row["order"]) for row in rows] == list(range(1, len(rows) + 1))
    assert all(int(row["ms"]) > 0 for row in rows)
    found = summarise([file], file.parent / write_key(file.parent, key), draws=50)
    assert not found.gaps
    assert not found.excluded
    assert {o.name: o.mos for o in found.engines} == {"s2s": 4.0, "cascade": 2.0}
    assert found.comparisons[0].same == 1


def write_key(folder: Path, key: dict[str, Any]) -> str:
    (folder / "key.json").write_text(json.dumps(key), encoding="utf-8")
    return "key.json"


def test_orders_codes_and_widths(browser: Browser, kit: Path) -> None:
    page, errors = enter(browser, kit, "A1")
    plan = "JSON.stringify(planFor(kit, '{}').map((t) => [t.a, t.b]))"
    one, again, other = (page.evaluate(plan.format(code)) for code in ("A1", "A1", "B2"))
    assert one == again != other
    assert sorted(map(sorted, json.loads(one))) == sorted(map(sorted, json.loads(other)))
    # Each clip of a pair is A about half the time over many raters.
    first = page.evaluate(
        "Array.from({length: 400}, (_, n) => planFor(kit, `R${n}`).find((t) => t.kind === 'pair'"
        " && t.id === kit.pairs[0].join('/')).a === kit.pairs[0][0]).filter(Boolean).length"
    )
    assert 160 < first < 240
    # What a spreadsheet would take for a formula, or tear apart, is no code.
    codes = {"=1+1": None, "": None, "a b": None, "x" * 25: None, "రమ1": "రమ1", " rk14": "RK14"}
    assert page.evaluate("(codes) => codes.map(codeOf)", list(codes)) == list(codes.values())
    for width in (320, 390, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        for _ in range(2):
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            page.locator("#language").click()
    assert not errors
