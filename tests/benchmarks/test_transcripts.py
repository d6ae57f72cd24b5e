"""Files are joined as their writer meant, and what does not fit is named."""

import json
from pathlib import Path

import pytest

from benchmarks.score.transcripts import ScoreError, Utterance, load


@pytest.fixture
def write(tmp_path):
    def write(name: str, content: object) -> Path:
        path = tmp_path / name
        if isinstance(content, list):
            content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content)
        path.write_bytes(content if isinstance(content, bytes) else str(content).encode())
        return path

    return write


def pairs(utterances: list[Utterance]) -> list[tuple[str, str, str, bool]]:
    return [(u.name, u.reference, u.hypothesis, u.missing) for u in utterances]


def test_lines(write):
    found = load(write("r.txt", "సరే\nఅవును\n\n"), write("h.txt", "\ufeffసరే\r\n\r\nరేపు"))
    assert pairs(found[None]) == [
        ("line 1", "సరే", "సరే", False),
        ("line 2", "అవును", "", False),  # an empty line is an answer: nothing was recognised
        ("line 3", "", "రేపు", False),
    ]


def test_only_line_feeds_end_a_line(write):
    odd = "సరే\u2028అవును\x0b\u0085"
    found = load(write("r.txt", "సరే\n"), write("h.txt", odd + "\n"))
    assert pairs(found[None]) == [("line 1", "సరే", odd, False)]


def test_ids_join_whatever_the_order(write):
    refs = write(
        "r.jsonl",
        [{"id": 7, "text": "ఏడు"}, {"id": "b#2", "text": "రెండు"}, {"id": "c", "text": "మూడు"}],
    )
    hyps = write("h.jsonl", [{"id": "b#2", "pred_text": "రెండో"}, {"id": "7", "hypothesis": None}])
    utterances = load(refs, hyps)[None]
    assert pairs(utterances) == [
        ("7", "ఏడు", "", True),
        ("b#2", "రెండు", "రెండో", False),
        ("c", "మూడు", "", True),
    ]
    assert [u.group for u in utterances] == ["7", "b", "c"]


def test_conversations_are_groups(write):
    rows = [{"reference": "ఒకటి", "hypothesis": "ఒకటి", "conversation": c} for c in ("x", "y", "x")]
    path = write("both.jsonl", rows)
    assert [u.group for u in load(path, path)[None]] == ["x", "y", "x"]


def test_lines_and_json_lines_join_by_order(write):
    hyps = write("h.ndjson", [{"text": "సరే"}, {"text": "కాదు"}])
    found = load(write("r.txt", "సరే\nఅవును"), hyps)[None]
    assert [(u.reference, u.hypothesis) for u in found] == [("సరే", "సరే"), ("అవును", "కాదు")]


def test_systems_are_told_apart(write):
    rows = [
        {"id": i, "system": s, "reference": f"వాక్యం {i}", "hypothesis": f"{s} {i}"}
        for s in ("second", "first")
        for i in "ab"
    ]
    path = write("both.jsonl", rows)
    found = load(path, path)
    assert list(found) == ["second", "first"]
    assert [u.hypothesis for u in found["first"]] == ["first a", "first b"]
    assert list(load(path, path, "first")) == ["first"]
    shared = write("r.jsonl", [{"id": i, "text": f"వాక్యం {i}"} for i in "ba"])
    assert [u.hypothesis for u in load(shared, path)["second"]] == ["second b", "second a"]


ONE = [{"id": "a", "reference": "సరే", "hypothesis": "సరే"}]


@pytest.mark.parametrize(
    ("refs", "hyps", "sentence"),
    [
        ("సరే\nఅవును\n", "సరే\n", r'has 2 utterances and .* 1: write an empty line .* "id"'),
        ("", "సరే\n", "holds no utterances: write one a line"),
        ("\n \n", "సరే\n", "holds no utterances"),
        ("సరే\n".encode("utf-16"), "సరే\n", r"is not UTF-8 \(byte 0\): save it as UTF-8"),
        (ONE + ONE, ONE, "has a more than once: tell second readings apart"),
        (ONE, ONE + ONE, "has a more than once"),
        (ONE, [*ONE, {"id": "b", "text": "కాదు"}], "lacks b of .*: add the references"),
        (
            [*ONE, {"text": "కాదు"}],
            ONE,
            'line 2 has no "id" and others have: give it to all or none',
        ),
        ([{"text": None}, {"text": "x"}], "సరే\nసరే", 'line 1 has no reference; write ""'),
        ([{"sentence": "సరే"}], "సరే", "no line has the key reference or text with a text"),
        ("సరే", [{"output": "సరే"}], "no line has the key hypothesis or pred_text or text"),
        ([{"text": 5}], "సరే", r'line 1: "text" is not a text; write a string'),
        ([{"text": "a", "id": [1]}], "సరే", r'line 1: "id" is not a name'),
        ('{"text": "సరే"}\n{"text": \n', "సరే", "line 2 is not JSON .*: write one object a line"),
        ('{"text": "సరే"}\n["అవును"]\n', "సరే", "line 2 is not a JSON object"),
        (
            [{"id": "a", "system": "x", "text": "సరే"}],
            [{"id": "a", "system": "y", "text": "సరే"}],
            "has nothing of x",
        ),
    ],
)
def test_what_does_not_fit_is_named(write, refs, hyps, sentence):
    with pytest.raises(ScoreError, match=sentence):
        load(write("refs", refs), write("hyps", hyps))


def test_a_file_is_not_compared_with_itself(write):
    lines, rows = write("a.txt", "సరే\n"), write("a.jsonl", [{"text": "సరే"}])
    with pytest.raises(ScoreError, match="given as references and as hypotheses: name two files"):
        load(lines, lines)
    with pytest.raises(ScoreError, match="no line has the key hypothesis or pred_text"):
        load(rows, rows)


def test_unreadable(write, tmp_path):
    there = write("a.txt", "సరే\n")
    with pytest.raises(ScoreError, match=r"cannot read .*b.txt: No such file .*; give a file"):
        load(there, tmp_path / "b.txt")
    with pytest.raises(ScoreError, match="Is a directory"):
        load(tmp_path, there)


def test_unknown_system(write):
    path = write("a.jsonl", [{**ONE[0], "system": s} for s in "abcdefg"])
    with pytest.raises(ScoreError, match="no system 'z' in .*; it has a, b, c, d, e and 2 more"):
        load(path, path, "z")
