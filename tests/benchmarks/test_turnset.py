"""The shipped set: frozen, large enough, nobody's training data, and every key earns its place."""

import hashlib
import random
import re
import tomllib
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.keys.example import filled
from benchmarks.keys.keys import fits, parse
from benchmarks.sets import turnset
from benchmarks.sets.turnset import SETS, CallerTurn, SetError, load, parse_set
from models.telugu.standard import te_std
from training.dialogues import intents, slots
from training.dialogues.utterances import wording
from training.utterances import HELD_OUT_VARIANTS

NOW = datetime(2026, 11, 20, 9, 30)
FAMILIES = {"greetings", "names", "memory", "clock", "sums", "weather", "talk", "home", "errands"}
FAMILIES |= {"codemix"}
# The intents of the starter model that a key's callers mean; "number" has sums of any kind.
MEANT = {
    "greeting": "greet.hello", "morning": "greet.morning", "evening": "greet.evening",
    "night": "greet.night", "wellbeing": "greet.howareyou", "goodbye": "greet.bye",
    "glad": "greet.iamfine greet.nicetomeet", "welcome": "greet.thanks",
    "forgiven": "greet.sorry", "praised": "self.praise", "own-name": "self.name",
    "not-human": "self.human", "abilities": "self.can", "languages": "self.languages",
    "own-place": "self.where", "own-age": "self.age", "own-maker": "self.maker",
    "own-food": "self.food", "privacy": "self.privacy", "slower": "slower", "hears": "canyouhear",
    "waits": "wait", "echo": "echo", "name-told": "name.tell", "name-asked": "name.ask",
    "name-corrected": "name.correct", "name-asked-new": "name.ask",
    "name-unknown": "name.ask.unknown", "place-told": "place.tell", "place-asked": "place.ask",
    "time": "time.ask", "date": "date.ask", "weekday": "day.ask", "tomorrow": "day.tomorrow",
    "yesterday": "day.yesterday", "month": "month.ask", "count": "number.count",
    "capital": "fact.capital", "week": "fact.week", "year": "fact.year", "sunrise": "fact.sun",
    "national-bird": "fact.national", "weather": "weather.ask",
    "rain": "weather.rain weather.raining", "heat": "weather.hot", "cold": "weather.cold",
    "pleasant": "weather.nice", "sad": "feel.sad", "lonely": "feel.lonely",
    "congratulated": "feel.happy", "bored": "feel.bored", "tired": "feel.tired",
    "angry": "feel.angry", "courage": "feel.scared", "try-again": "feel.failed",
    "joke": "joke.one joke.two joke.three joke.yes", "story": "story.one story.two story.three",
    "proverb": "proverb.one proverb.two", "riddle": "riddle.ask", "family": "family.tell",
    "cricket": "cricket", "film": "film", "tea": "food.tea", "rice": "food.rice",
    "dal": "food.dal", "upma": "food.upma", "pulihora": "food.pulihora", "hungry": "food.hungry",
    "what-to-cook": "food.what", "fever": "health.fever", "headache": "health.head",
    "coughs": "health.cold", "stomach": "health.stomach", "joint-pain": "health.pain",
    "sleepless": "health.sleep", "fitness": "health.fit", "medicine": "health.medicine",
    "pay-bill": "pay.bill", "send-money": "pay.send", "balance": "pay.balance", "otp": "pay.otp",
    "lost-card": "pay.card", "recharge": "pay.recharge", "price": "shop.price", "buy": "shop.buy",
    "return": "shop.return", "document": "gov.document", "complaint": "gov.complaint",
    "farm": "gov.farm", "alarm": "tool.alarm", "phone-call": "tool.call", "music": "tool.music",
    "news": "tool.news", "device": "tool.device", "train": "travel.train", "bus": "travel.bus",
    "cab": "travel.cab", "route": "travel.route", "sights": "travel.visit",
    "journey": "travel.going", "to-a-human": "tool.human", "festival": "festival.greet",
    "translate": "tool.translate",
}  # fmt: skip
SLOTS = {
    "name": "మాధురి", "known": "మాధురి", "town": "పలాస", "city": "పలాస", "item": "బియ్యం",
    "bill": "నీటి బిల్లు", "document": "రేషన్ కార్డు", "festival": "సంక్రాంతి", "phrase": "పచ్చని పొలం",
    "state": "కర్ణాటక", "capital": "బెంగళూరు", "old": "రాజు", "n": "17", "other": "", "word": "థాంక్స్",
}  # fmt: skip


def turns() -> list[CallerTurn]:
    return [turn for conversation in load().conversations for turn in conversation.turns]


def example(turn: CallerTurn, now: datetime = NOW) -> str:
    """The turn's example with the clock's words in it."""
    said = filled(turn.example, now)
    assert said is not None
    return said


def test_the_set_is_as_large_as_promised():
    whole = load()
    assert whole.name == "te-v1"
    assert whole.sha256 == SETS["te-v1"]
    assert len(whole.conversations) >= 36
    assert whole.turns >= 200
    assert {c.family for c in whole.conversations} == FAMILIES
    assert load("te-v1:full").conversations == whole.conversations
    for conversation in whole.conversations:
        lengths = (10,) if conversation.family == "memory" else (5, 6)
        assert len(conversation.turns) in lengths, conversation.id


def test_no_turn_is_there_twice_and_every_voice_is_new_to_training():
    texts = [turn.text for turn in turns()]
    assert len(texts) == len(set(texts))
    assert {c.voice for c in load().conversations} == set(HELD_OUT_VARIANTS)


def test_texts_are_telugu_as_spoken():
    for turn in turns():
        assert te_std(turn.text) == turn.text, turn.text
        assert re.fullmatch(r"[\u0c00-\u0c65 ]+", turn.text), turn.text
        assert 2 <= len(turn.text.split()) <= 12, turn.text


def test_the_subsets_are_the_ones_that_suites_run():
    smoke, standard = load("te-v1:smoke"), load("te-v1:standard")
    assert [len(c.turns) for c in smoke.conversations] == [3, 3]
    assert [len(c.turns) for c in standard.conversations] == [5] * 10
    assert {c.family for c in standard.conversations} == FAMILIES
    assert standard.sha256 == load().sha256
    assert standard.name == "te-v1:standard"


def test_names_are_told_in_turn_one_and_asked_in_turns_six_and_ten():
    memory = [c for c in load().conversations if c.family == "memory"]
    assert len(memory) >= 3
    for conversation in memory:
        asked = {n for n, turn in enumerate(conversation.turns, 1) if name_in(turn)}
        assert asked >= {1, 6, 10}, conversation.id
        told = name_in(conversation.turns[0])
        assert told
        assert {name_in(conversation.turns[n - 1]) for n in (6, 10)} == {told}
        later = [t.text for t in conversation.turns[1:]]
        assert not any(told in text for text in later), "the caller may not say it again"


def name_in(turn: CallerTurn) -> str:
    assert turn.key is not None
    found = re.fullmatch(r"\{name (\S+)\}", turn.key.lines[0])
    return found[1] if found and len(turn.key.lines) == 1 else ""


def test_every_example_fits_its_key_at_any_hour():
    rng = random.Random(0)
    for turn in turns():
        now = NOW + timedelta(minutes=rng.randrange(525_600))
        assert fits(turn.key, example(turn, now), now) is True, (turn, now)


def test_what_fits_one_turn_seldom_fits_another():
    """A key that anything fits measures nothing: courtesies overlap, the rest must not."""
    answers = {t.key: example(t) for t in turns()}
    loose = []
    for key in answers:
        others = [text for other, text in answers.items() if other != key]
        loose.append(sum(fits(key, text, NOW) is True for text in others) / len(others))
        assert loose[-1] < 0.2, (key, loose[-1])
    assert sum(loose) / len(loose) < 0.05


def test_an_echo_of_the_question_is_no_answer():
    """Only where repeating is the answer: greetings, thanks, names told, an echo asked for."""
    parroted = {c.family for c in load().conversations for t in c.turns if echoes(t)}
    share = sum(map(echoes, turns())) / len(turns())
    assert share < 0.15
    assert not parroted & {"clock", "sums", "weather", "home"}


def echoes(turn: CallerTurn) -> bool:
    return fits(turn.key, turn.text, NOW) is True


def test_the_starter_answers_as_written_fit():
    """Every reply that the starter model is taught to an intent fits the key of such callers."""
    raw = tomllib.loads((Path(turnset.__file__).parent / "te-v1.toml").read_text("utf-8"))
    assert set(MEANT) | {"number", "emergency"} == set(raw["keys"])
    filled = SLOTS | slots.clock_slots(NOW)
    for name, ids in MEANT.items():
        lines = [turnset.Template(line).substitute(SLOTS) for line in raw["keys"][name]["fits"]]
        for id_ in ids.split():
            for reply in intents.load()[id_].reply:
                said = intents.fill(reply, filled)
                assert fits(parse(lines), said, NOW), f"{name}: {said}"


def templates() -> dict[str, re.Pattern[str]]:
    """Every template of the training dialogues, with a pattern of all that it can say."""
    lists = slots.word_lists()
    number = "(?:" + "|".join(map(re.escape, {slots.cardinal(n) for n in range(101)})) + ")"
    values = {name: "(?:" + "|".join(map(re.escape, words)) + ")" for name, words in lists.items()}
    values |= dict.fromkeys(slots.sums(random.Random(0)), number)
    values["state"], values["capital"] = "|".join(slots.CAPITALS), "|".join(slots.CAPITALS.values())
    values["name"] = r"\S+"  # invented ones, too
    values["phrase"] = r"\S+(?: \S+){1,9}"
    courtesy = f"(?:{values['lead']} )?", f"(?: {values['tail']})?"

    def pattern(template: str) -> re.Pattern[str]:
        text = re.sub(r"<([a-z_]+)>", lambda m: slots.macros()[m[1]], template)
        text = text.replace("(", "(?:").replace(" ", " ?")  # an empty alternative leaves no gap
        text = re.sub(r"\{([a-z_]+)\}", lambda m: f"(?:{values[m[1]]})", text)
        return re.compile(f"{courtesy[0]}{text}{courtesy[1]}")

    spoken = (i for i in intents.load().values() if i.spoken)
    return {template: pattern(template) for i in spoken for template in i.user}


def test_no_line_is_a_training_line():
    home = Path(intents.__file__).parent
    seen: set[str] = set()
    for name in ("unseen", "tuning"):
        says = tomllib.loads((home / f"{name}.toml").read_text("utf-8"))["say"]
        seen |= {te_std(say["text"]) for say in says}
        seen |= {te_std(before) for say in says for before in say.get("before", [])}
    mine = [turn.text for turn in turns()]
    assert not seen & set(mine)
    patterns = templates()
    said = [text for pattern in patterns.values() for text in mine if pattern.fullmatch(text)]
    assert not said
    # The patterns do find what the templates say.
    rng = random.Random(0)
    for template in rng.sample(sorted(patterns), 300):
        text = wording(template, slots.draw(rng, NOW, invented=0.1), rng)
        assert patterns[template].fullmatch(text), (template, text)


def test_a_changed_set_is_refused(tmp_path, monkeypatch):
    data = (Path(turnset.__file__).parent / "te-v1.toml").read_bytes()
    (tmp_path / "te-v1.toml").write_bytes(data + b"\n")
    monkeypatch.setattr(turnset, "_SETS", tmp_path)
    with pytest.raises(SetError, match="a changed set is a new name"):
        load()
    (tmp_path / "te-v1.toml").write_bytes(data)
    assert load().sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("name", "said"),
    [("te-v0", "known are te-v1"), ("te-v1:huge", "known are full, smoke, standard")],
)
def test_unknown_sets_are_named(name, said):
    with pytest.raises(SetError, match=said):
        load(name)


@pytest.mark.parametrize(
    ("key", "slots_", "said"),
    [
        ("none", {}, "no key 'none'"),
        ("sum", {}, "slot 'n' has no value"),
        ("sum", {"n": "x"}, "wrong value"),
        ("empty", {}, "at least one"),
    ],
)
def test_a_broken_set_says_where(key, slots_, said):
    keys = {"sum": {"fits": ["{number $n}"], "example": "$n"}, "empty": {"fits": [], "example": ""}}
    turn = {"text": "ఎంత", "key": key, "slots": slots_}
    conversation = {"id": "a", "family": "f", "voice": "f4", "turns": [turn]}
    with pytest.raises(SetError, match=said):
        parse_set({"keys": keys, "conversation": [conversation]}, "mine")
