"""Ratings by raters whose minds are known: figures, exclusions, gaps, and how they read."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ratings.fragment import TOO_SMALL, fragment_html, fragment_md
from benchmarks.ratings.ratings import RatingsError, find_key, summarise, to_json
from benchmarks.statistics.bootstrap import Interval
from tests.benchmarks.listening_raters import Case, rows_of, sound


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_scores_and_preferences_of_raters_who_agree(case: Case) -> None:
    for n in range(6):
        case.add(f"r{n}")
    found = case.read()
    assert {o.name: o.mos for o in found.engines} == {"alpha": 4.0, "beta": 3.0}
    assert {o.name: o.mos for o in found.anchors} == {"high": 5.0, "low": 1.0}
    assert all(o.enough and o.ci and o.ratings == 48 for o in found.engines)
    (pair,) = found.comparisons
    assert (pair.preferred_one, pair.preferred_other, pair.same) == (48, 0, 0)
    assert pair.difference == 1.0
    assert pair.difference_ci == Interval(1.0, 1.0)  # all agree on every turn
    assert pair.preference == pytest.approx(48.5 / 49, abs=1e-6)
    assert pair.raters == 6
    assert not found.gaps
    assert found.seconds == 4.0


def test_no_difference_is_half_a_win_each(case: Case) -> None:
    def choose(pair: dict[str, Any]) -> str:
        return "a" if pair["role"] == "check" or pair["a"] == "alpha0" else "same"

    for n in range(2):
        case.add(f"r{n}", choose=choose)
    (pair,) = case.read().comparisons
    assert (pair.preferred_one, pair.same) == (2, 14)
    assert pair.preference == pytest.approx((2 + 7 + 0.5) / 17, abs=1e-6)
    assert not pair.enough


def test_who_cannot_be_believed_is_left_out_with_the_reason(case: Case) -> None:
    def upside_down(name: str, about: dict[str, Any]) -> int:
        return {"low": 5, "high": 1}.get(about["role"]) or sound(name, about)

    def asleep(name: str, about: dict[str, Any]) -> int:
        return 1 if about["role"] == "check" else sound(name, about)

    def alike(name: str, about: dict[str, Any]) -> int:
        return sound(name, about) if about["role"] == "check" else 3

    def one_slip(name: str, about: dict[str, Any]) -> int:
        return 1 if name == "check0" else sound(name, about)

    case.add("good")
    case.add("slipped", judge=one_slip)
    case.add("upside-down", judge=upside_down)
    case.add("asleep", judge=asleep)
    case.add("alike", judge=alike)
    case.add("random", choose=lambda pair: "b")
    found = case.read()
    assert found.raters == 2
    reasons = {e.rater: e.reasons for e in found.excluded}
    assert set(reasons) == {"upside-down", "asleep", "alike", "random"}
    assert "low anchors 5.0 and the high ones 1.0" in reasons["upside-down"][0]
    assert reasons["asleep"] == ["fails 2 of 4 attention checks"]
    assert reasons["alike"] == ["gives 3 to all of 20 clips"]
    assert reasons["random"] == ["fails 2 of 4 attention checks"]
    assert {o.name: o.mos for o in found.engines} == {"alpha": 4.0, "beta": 3.0}
    assert all(e.answers == 32 for e in found.excluded)


def test_without_high_anchors_the_sources_of_the_low_ones_serve(case: Case) -> None:
    for name in ("high0", "high1"):
        del case.key["clips"][name]
    (case.folder / "key.json").write_text(json.dumps(case.key), encoding="utf-8")
    case.add("r", judge=lambda name, about: 5 if about["role"] == "low" else sound(name, about))
    (out,) = case.read().excluded
    assert "the high ones 3.5" in out.reasons[0]


def test_every_gap_is_named_and_skipped(case: Case) -> None:
    rows = rows_of("r0", case.key)
    rows[0] = rows[0].replace(",4,4000", ",6,4000")
    rows[1] = rows[1].replace("beta0", "nobody")
    rows[2] = rows[2].replace(",4,4000", ",,4000")
    rows[3] = rows[3].replace("k1,", "k2,")
    rows[4] = rows[4].replace("acr", "guess")
    rows[5] = "k1,r0,6\n"
    rows[6] = rows[6].replace(",4,4000", ",nan,4000")
    rows[-3] = rows[-3].replace(",a,4000", ",both,4000")
    del rows[7]
    case.add("r0", rows)
    bad = case.add("r1", [])
    bad.write_bytes(b"\xff\xfe\x00")
    other = case.add("r2", [])
    other.write_text("name,score\nx,3\n", encoding="utf-8")
    case.files.append(case.folder / "absent.csv")
    found = case.read()
    said = {(g.file, g.line): g.reason for g in found.gaps if g.line or "no answer" not in g.reason}
    assert said["r0.csv", 2] == "score '6' is not 1, 2, 3, 4 or 5"
    assert said["r0.csv", 3] == "no clip 'nobody' in the kit"
    assert said["r0.csv", 4] == "no answer: skipped"
    assert said["r0.csv", 5] == "of another kit (k2), not k1"
    assert "kind 'guess'" in said["r0.csv", 6]
    assert ("r0.csv", 7) in said
    assert "score 'nan'" in said["r0.csv", 8]
    assert any("preference 'both'" in reason for reason in said.values())
    assert "not readable" in said["r1.csv", None]
    assert "no column 'kit'" in said["r2.csv", None]
    assert "not readable" in said["absent.csv", None]
    missing = [g.reason for g in found.gaps if g.line is None and g.rater == "r0"]
    assert len(missing) == 9
    assert "no answer for beta3" in missing
    assert found.ratings + found.preferences == 32 - 9


def test_a_file_saved_by_a_spreadsheet_is_read(case: Case) -> None:
    path = case.add("r0")
    text = path.read_text(encoding="utf-8").replace(",4,4000", ",4.0,4000").replace(",", ";")
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    found = case.read()
    assert not found.gaps
    assert found.ratings == 22


def test_saved_twice_counts_once_and_contradictions_are_named(case: Case) -> None:
    case.add("r0")
    rows = rows_of("r0", case.key)
    rows[0] = rows[0].replace(",4,4000", ",5,4000")
    # The same pair shown the other way round, and the same clip preferred: no contradiction.
    rows[22] = "k1,r0,23,pair,beta0,alpha0,b,4000\n"
    again = case.add("r1", rows)
    found = case.read()
    assert [(g.file, g.line) for g in found.gaps] == [(again.name, 2)]
    assert found.raters == 1
    assert found.engines[0].mos == pytest.approx((4 * 7 + 5) / 8)


def test_few_ratings_say_so_and_none_do_not_break(case: Case) -> None:
    nothing = case.read()
    assert [o.mos for o in nothing.engines] == [None, None]
    assert TOO_SMALL in fragment_md(nothing)
    case.add("r0")
    one = case.read()
    assert one.engines[0].ci is None
    assert not one.engines[0].enough
    assert f"| alpha | 4.00 (no CI) | 1 | 8 | 8 | {TOO_SMALL} |" in fragment_md(one)


def test_three_engines_are_ranked(tmp_path: Path) -> None:
    case = Case(tmp_path, ("alpha", "beta", "gamma"))
    for n in range(3):
        case.add(f"r{n}", judge=lambda name, about: {"g": 2}.get(name[0]) or sound(name, about))
    found = case.read()
    scores = [s.score for s in found.strengths if s.score is not None]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(0, abs=1e-6)
    assert len(found.comparisons) == 3
    assert "Bradley–Terry score" in fragment_html(found)


def test_fragments_escape_what_raters_typed_and_json_comes_back(case: Case) -> None:
    rows = [r.replace(",r0,", ",<b>|x,") for r in rows_of("r0", case.key)]
    case.add("r0", [*rows, "k1,<b>|x,99,acr,<script>,,3,1\n"])
    found = case.read()
    assert "<script>" not in fragment_html(found)
    assert "&lt;script&gt;" in fragment_html(found)
    assert "<script>" not in fragment_md(found).replace("\\<", "")
    plain = to_json(found)
    assert json.loads(json.dumps(plain)) == plain
    assert plain["engines"][0]["mos"] == 4.0
    assert asdict(case.read()) == asdict(found)


def test_no_key_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RatingsError, match=r"no key\.json"):
        find_key(tmp_path, [])
    with pytest.raises(RatingsError, match="no such file"):
        summarise([], tmp_path / "key.json")
    (tmp_path / "key.json").write_text('{"schema": 1, "kit": "k", "clips": []}', encoding="utf-8")
    with pytest.raises(RatingsError, match="not the key"):
        summarise([], tmp_path / "key.json")
    assert find_key(tmp_path, [tmp_path / "a.csv"]) == tmp_path / "key.json"
