"""How good a language model is at the authored dialogues, asked as a caller would ask it.

    python -m training.llm_score weights/starter/llm [--out quality.json]

Goes through `models.llama` on the CTranslate2 conversion, the same path a call takes. Counts
fitting replies to the unseen wordings by the written key, replies whose script is mixed or
broken, and names remembered after other talk. Knows nothing about training.
"""

import argparse
import json
import random
import re
import tomllib
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from models.llama import Llama, Message
from training.dialogues import Composer, fits, load
from training.dialogues.compose import SYSTEM_PROMPT
from training.dialogues.intents import fill
from training.dialogues.slots import Slots, clock_slots, draw, invented_name

_DIALOGUES = Path(__file__).parent / "dialogues"
_MAX_TOKENS = 96
# Telugu letters, signs and digits, the joiner of loan words, ASCII digits and punctuation.
_TELUGU_ONLY = re.compile(r"[\u0C00-\u0C7F\u200C0-9 .,!?:'\"()-]*")
_SIGN = "\u0c3e-\u0c4c\u0c55\u0c56"
_BROKEN = re.compile(
    rf"(?:^|[\s.,!?:])[{_SIGN}\u0C00-\u0C03\u0C4D]"  # a word that begins with a dependent sign
    rf"|[{_SIGN}\u0C4D][{_SIGN}\u0C4D]"  # two signs on one letter
    rf"|[\u0C05-\u0C14][{_SIGN}\u0C4D]"  # a sign on an independent vowel
)


@dataclass(frozen=True)
class Answer:
    """One question put to the model and what became of it."""

    text: str
    intent: str
    reply: str
    fit: bool
    script: bool  # Telugu throughout, and well formed


@dataclass(frozen=True)
class Quality:
    """The figures of a model card."""

    questions: int
    fitting: float  # share of the unseen wordings
    script_faults: int  # replies with mixed or broken script, over every reply asked for
    replies: int
    names: int
    remembered: float  # share of the names recalled in the fifth turn after they were told
    remembered_invented: float  # of those that no one bears
    misses: tuple[Answer, ...]


def script_ok(text: str) -> bool:
    """Whether `text` is non-empty, Telugu throughout (digits allowed) and well formed."""
    return bool(text.strip()) and bool(_TELUGU_ONLY.fullmatch(text)) and not _BROKEN.search(text)


def unseen(
    llama: Llama, seed: int = 0, limit: int | None = None, wordings: str = "unseen"
) -> list[Answer]:
    """Ask every unseen wording (or the first `limit` of a shuffle) in a fresh call each.

    `wordings` is a file of the dialogues: `unseen`, or `tuning`, whose misses may be read.
    """
    rng = random.Random(seed)
    says = tomllib.loads((_DIALOGUES / f"{wordings}.toml").read_text(encoding="utf-8"))["say"]
    if limit is not None:
        says = rng.sample(says, limit)
    answers: list[Answer] = []
    for say in says:
        now = _moment(rng)
        slots = draw(rng, now) | clock_slots(now) | say.get("slots", {})
        call = [_system(now)]
        for earlier in say.get("before", []):
            slots["last"] = _ask(llama, call, earlier)
        reply = _ask(llama, call, say["text"])
        fit = fits(load()[say["intent"]].fits, reply, slots)
        answers.append(Answer(say["text"], say["intent"], reply, fit, script_ok(reply)))
    return answers


def names(llama: Llama, trials: int, seed: int = 0, between: int = 4) -> list[Answer]:
    """Tell a name, talk about `between` other things, ask for the name; every second one invented.

    `intent` of an answer is the name that was told.
    """
    rng = random.Random(seed)
    composer = Composer(seed, "held_out", noise=0.0)
    small_talk = [
        intent
        for intent in load().values()
        if intent.spoken and not intent.when and not intent.after and intent.topic != "memory"
    ]
    told = [intent for intent in load().values() if intent.id == "name.tell"][0]
    asked = load()["name.ask"]
    talk = Composer(seed, "train", noise=0.0)
    answers: list[Answer] = []
    for trial in range(trials):
        now = _moment(rng)
        slots: Slots = draw(rng, now)
        if trial % 2:
            slots["name"] = invented_name(rng)
        slots["known"] = slots["name"]
        call = [_system(now)]
        _ask(llama, call, composer.turn(told, slots).user)
        for _ in range(between):
            other = talk.turn(rng.choice(small_talk), draw(rng, now))
            _ask(llama, call, other.user)
        question = composer.turn(asked, slots).user
        reply = _ask(llama, call, question)
        fit = fits(asked.fits, reply, slots)
        answers.append(Answer(question, slots["name"], reply, fit, script_ok(reply)))
    return answers


def measure(llama: Llama, *, trials: int = 200, seed: int = 0) -> Quality:
    """All figures; about 400 calls, a minute or two on one core."""
    asked = unseen(llama, seed)
    recalled = names(llama, trials, seed)
    both = [*asked, *recalled]
    return Quality(
        questions=len(asked),
        fitting=_share(asked),
        script_faults=sum(not answer.script for answer in both),
        replies=len(both),
        names=len(recalled),
        remembered=_share(recalled),
        remembered_invented=_share(recalled[1::2]),
        misses=tuple(answer for answer in both if not answer.fit or not answer.script),
    )


def report(path: Path, out: Path | None = None) -> Quality:
    """Measure the model at `path`, print the figures, write them as JSON to `out`."""
    quality = measure(Llama.load(path))
    if out is not None:
        out.write_text(json.dumps(asdict(quality), ensure_ascii=False, indent=1) + "\n")
    print(
        f"fitting replies {quality.fitting:.1%} of {quality.questions} unseen wordings, "
        f"{quality.script_faults} of {quality.replies} replies with mixed or broken script, "
        f"names remembered {quality.remembered:.1%} "
        f"(invented ones {quality.remembered_invented:.1%})"
    )
    return quality


def _share(answers: list[Answer]) -> float:
    return sum(answer.fit for answer in answers) / max(1, len(answers))


def _moment(rng: random.Random) -> datetime:
    return datetime(
        2027, rng.randint(1, 12), rng.randint(1, 28), rng.randint(0, 23), rng.randint(0, 59)
    )


def _system(now: datetime) -> Message:
    return {"role": "system", "content": fill(SYSTEM_PROMPT, clock_slots(now))}


def _ask(llama: Llama, call: list[Message], text: str) -> str:
    """Put `text` to the model and keep both sides in `call`, as a call's memory would."""
    call.append({"role": "user", "content": text})
    reply = llama.reply(call, max_tokens=_MAX_TOKENS)
    call.append({"role": "assistant", "content": reply})
    return reply


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("path", type=Path, help="a directory that models.llama loads")
    options.add_argument("--out", type=Path, help="where the figures and the misses go, as JSON")
    told = options.parse_args()
    report(told.path, told.out)
