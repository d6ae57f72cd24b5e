"""The authored dialogues keep their own rules; knows nothing about models."""

import random
import re
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

import training.dialogues as dialogues
from models.telugu import clock
from training.dialogues import SYSTEM_PROMPT, Composer, fits, load, user_utterances
from training.dialogues.compose import OPENINGS
from training.dialogues.intents import Intent, expand, fill
from training.dialogues.mishear import babble, colloquial, mishear, stumble
from training.dialogues.slots import Slots, clock_slots, draw, invented_name, moment
from training.dialogues.utterances import split_of
from training.llm_score import script_ok

SPOKEN = re.compile(r"[\u0C00-\u0C7F\u200C ]+")
UNSEEN = Path(dialogues.__file__).parent / "unseen.toml"


def some_slots(seed: int) -> Slots:
    rng = random.Random(seed)
    slots = draw(rng, moment(rng), invented=0.5)
    return slots | {"known": slots["name"], "town": slots["city"], "last": "సరే అండి, ఆపేశాను."}


@pytest.fixture(scope="module")
def train() -> list[str]:
    return user_utterances("train")


@pytest.fixture(scope="module")
def held_out() -> list[str]:
    return user_utterances("held_out")


def test_wide_enough_to_feel_like_an_assistant() -> None:
    intents = load()
    assert len(intents) >= 70
    assert sum(len(intent.user) for intent in intents.values()) >= 900
    assert len({intent.topic for intent in intents.values()}) >= 15


@pytest.mark.parametrize("intent", load().values(), ids=lambda intent: intent.id)
def test_every_reply_fits_its_own_key_and_is_well_written(intent: Intent) -> None:
    for seed in range(8):
        slots = some_slots(seed)
        for template in intent.reply:
            reply = fill(template, slots)
            assert fits(intent.fits, reply, slots), reply
            assert script_ok(reply), reply
            assert len(reply) <= 160, reply


def test_keys_tell_intents_apart() -> None:
    slots = some_slots(0)
    replies = {i.id: [fill(r, slots) for r in i.reply] for i in load().values() if i.id != "again"}
    for intent in load().values():
        if intent.id == "again":
            continue
        others = {
            other
            for other, texts in replies.items()
            if other != intent.id and any(fits(intent.fits, text, slots) for text in texts)
        }
        assert len(others) <= 3, f"{intent.id}'s key also accepts {sorted(others)}"


def test_users_speak_as_a_recogniser_writes(train: list[str], held_out: list[str]) -> None:
    for said in [*train, *held_out]:
        assert SPOKEN.fullmatch(said), said
        assert said == " ".join(said.split())


def test_splits_share_nothing(train: list[str], held_out: list[str]) -> None:
    assert len(train) >= 5000
    assert len(held_out) >= 500
    assert len(set(train)) == len(train)
    assert not set(train) & set(held_out)


def test_sampling_is_reproducible_and_follows_its_seed(train: list[str]) -> None:
    assert user_utterances("train") == train
    assert user_utterances("train", seed=1) != train


def test_the_unseen_sentences_are_unseen(train: list[str], held_out: list[str]) -> None:
    says = tomllib.loads(UNSEEN.read_text(encoding="utf-8"))["say"]
    texts = [say["text"] for say in says]
    assert len(texts) == len(set(texts)) == 200
    assert not set(texts) & {*train, *held_out}
    for say in says:
        intent = load()[say["intent"]]
        assert SPOKEN.fullmatch(say["text"]), say["text"]
        assert not intent.when or intent.when in ("clock", "unnamed", "fresh") or "before" in say


def test_no_wording_belongs_to_two_intents() -> None:
    owners: dict[str, set[str]] = defaultdict(set)
    other_cases = ("unnamed", "unplaced", "noclock", "fresh")
    for intent in load().values():
        if intent.after or intent.when in other_cases or not intent.spoken:
            continue
        for template in intent.user:
            rng = random.Random(template)
            for _ in range(20):
                slots = draw(rng, moment(rng))
                owners[fill(expand(template, rng), slots)].add(intent.id)
    shared = {said: ids for said, ids in owners.items() if len(ids) > 1}
    assert not shared


@pytest.mark.parametrize(
    ("intent", "number"),
    [
        ("help.ambulance", "108"),
        ("help.emergency", "112"),
        ("help.police", "100"),
        ("help.fire", "101"),
        ("help.child", "1098"),
        ("help.women", "181"),
        ("help.suicide", "14416"),
        ("pay.fraud", "1930"),
        ("travel.train", "139"),
    ],
)
def test_help_lines_are_in_every_reply(intent: str, number: str) -> None:
    for reply in load()[intent].reply:
        assert number in re.findall(r"\d+", reply)


def test_only_known_numbers_are_ever_given() -> None:
    known = {"100", "101", "108", "112", "139", "181", "1098", "1930", "14416"}
    for intent in load().values():
        for reply in intent.reply:
            assert set(re.findall(r"\d+", reply)) <= known


def test_conversations_remember() -> None:
    recalls = 0
    for talk in (Composer(seed).conversation() for seed in range(300)):
        name = None
        for turn in talk.turns:
            if turn.intent.id in ("name.tell", "name.correct", "name.bare"):
                name = turn.slots["name"]
            if turn.intent.id == "name.ask":
                assert name is not None
                assert name in turn.reply
                recalls += 1
            if turn.intent.id == "name.ask.unknown":
                assert name is None
            if turn.intent.after:
                before = talk.turns[talk.turns.index(turn) - 1]
                assert before.intent.id in turn.intent.after
    assert recalls > 20


def test_repeating_repeats_the_last_answer() -> None:
    seen = 0
    for talk in (Composer(seed).conversation() for seed in range(300)):
        for before, turn in zip(talk.turns, talk.turns[1:], strict=False):
            if turn.intent.id == "again":
                assert before.reply in turn.reply
                seen += 1
    assert seen > 10


def test_the_prompt_carries_the_clock() -> None:
    assert "{time}" in SYSTEM_PROMPT
    assert "{date}" in SYSTEM_PROMPT
    rng = random.Random(0)
    now = moment(rng)
    prompt = fill(SYSTEM_PROMPT, clock_slots(now))
    assert clock.time_words(now) in prompt
    assert clock.date_words(now) in prompt
    assert script_ok(prompt)
    assert all(script_ok(opening) for opening in OPENINGS)


def test_the_split_of_a_template_depends_on_its_text_alone() -> None:
    held = [t for i in load().values() for t in i.user if split_of(t) == "held_out"]
    total = sum(len(i.user) for i in load().values())
    assert 0.05 < len(held) / total < 0.16


def test_mishearing_spares_what_the_answer_needs() -> None:
    rng = random.Random(0)
    changed = 0
    for _ in range(200):
        heard = mishear("నా పేరు గోవింద్ అని చెప్పాను", rng, frozenset(["గోవింద్"]))
        assert "గోవింద్" in heard.split()
        changed += heard != "నా పేరు గోవింద్ అని చెప్పాను"
    assert changed > 150


def test_a_slip_of_the_tongue_spares_what_the_answer_needs() -> None:
    rng = random.Random(0)
    said = "నా పేరు గోవింద్ అని చెప్పాను"
    slips = [stumble(said, rng, frozenset(["గోవింద్"])) for _ in range(300)]
    assert all("గోవింద్" in slip.split() for slip in slips)
    assert all(SPOKEN.fullmatch(slip) for slip in slips)
    assert sum(slip != said for slip in slips) > 200
    shorter, longer = (sum(c(len(s.split()), 5) for s in slips) for c in (int.__lt__, int.__gt__))
    assert shorter > 20 < longer


def test_a_word_that_ends_politely_is_not_made_polite_again() -> None:
    rng = random.Random(0)
    assert {colloquial("పేరు చెప్పండి", rng) for _ in range(30)} == {"పేరు చెప్పండి"}
    assert "పేరు చెప్పండి" in {colloquial("పేరు చెప్పు", rng) for _ in range(30)}


def test_only_who_is_asked_to_stumbles() -> None:
    def said(composer: Composer) -> list[str]:
        return [turn.user for _ in range(20) for turn in composer.conversation(1).turns]

    plain = said(Composer(3, noise=0.0, prompted=0.0))
    assert said(Composer(3, noise=0.0, prompted=0.0, stumbles=0.0)) == plain
    assert said(Composer(3, noise=0.0, prompted=0.0, stumbles=1.0)) != plain


def test_noise_and_invented_names_are_telugu() -> None:
    rng = random.Random(0)
    for _ in range(200):
        assert SPOKEN.fullmatch(babble(rng))
        assert script_ok(invented_name(rng))


def test_a_misspelt_key_is_refused(tmp_path: Path) -> None:
    from training.dialogues.intents import DialogueError, _parse

    with pytest.raises(DialogueError, match="unknown key 'replies'"):
        _parse(tmp_path / "x.toml", {"id": "x", "reply": "a", "fits": ["a"], "replies": "b"})
    with pytest.raises(DialogueError, match="'fits' is missing"):
        _parse(tmp_path / "x.toml", {"id": "x", "reply": "a"})
    with pytest.raises(DialogueError, match="when = 'never'"):
        _parse(tmp_path / "x.toml", {"id": "x", "reply": "a", "fits": ["a"], "when": "never"})
