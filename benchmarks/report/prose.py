"""What a report says in sentences: what was measured, on what, and what the figures cannot tell.

Shared by the page and the Markdown. Knows nothing of HTML.
"""

import math
from collections.abc import Iterator
from typing import Any

from benchmarks.report.figures import number

Pairs = list[tuple[str, str]]


def title(found: dict[str, Any]) -> str:
    """The headline of a report."""
    engines = list(found["turns"]) or found["engines"]
    return " against ".join(engines) + ": what was measured"


def subtitle(found: dict[str, Any]) -> str:
    """Suite, size and machine, in a line."""
    run, told = found["run"], found["turns"]
    parts = [f"suite {run.get('suite', 'unknown')}"]
    if told:
        counts = [f"{t['n']} turns of {engine}" for engine, t in told.items()]
        parts.append(" and ".join(counts))
        groups = max(t["conversations"] for t in told.values())
        parts.append(f"{groups} conversation{'s' * (groups != 1)}")
        clusters = max(t["clusters"] for t in told.values())
        if clusters != groups:
            parts.append(f"{clusters} speakers or sentences")
    env = run.get("environment") or {}
    parts.append(str(env.get("gpu") or env.get("cpu") or "unknown machine"))
    if run.get("started"):
        parts.append(str(run["started"])[:10])
    return " · ".join(parts)


def environment(found: dict[str, Any]) -> Pairs:
    """Everything one needs to measure it again."""
    run = found["run"]
    env = run.get("environment") or {}
    profile = run.get("profile") or {}
    pairs = [
        ("suite", f"{run.get('suite')} (sha256 {_short(run.get('suite_sha256'))})"),
        ("measured", f"{run.get('started', '–')}, {_duration(run.get('seconds'))}"),
        ("server", run.get("url") or "started by the bench"),
        ("profile", f"{profile.get('name', '–')} (sha256 {_short(profile.get('sha256'))})"),
        ("processor", f"{env.get('cpu', '–')}, {env.get('cores', '–')} cores"),
        ("memory", f"{env.get('memory_gb', '–')} GB"),
        ("GPU", " ".join(str(env[k]) for k in ("gpu", "driver") if env.get(k)) or "none"),
        ("system", f"{env.get('system', '–')}, Python {env.get('python', '–')}"),
        ("versions", ", ".join(f"{k} {v}" for k, v in sorted((env.get("versions") or {}).items()))),
        (
            "commit",
            f"{env.get('commit') or '–'}{', with changes not committed' * bool(env.get('dirty'))}",
        ),
    ]
    for engine, roles in sorted((run.get("models") or {}).items()):
        shown = ", ".join(f"{role} {address}" for role, address in sorted((roles or {}).items()))
        pairs.append((f"models, {engine}", shown or "–"))
    weights = sorted((run.get("weights") or {}).items())
    pairs.append(("weights", ", ".join(f"{k} {_short(v)}" for k, v in weights) or "–"))
    pairs += [
        (f"rule, {key}", _plain(value)) for key, value in sorted((run.get("rules") or {}).items())
    ]
    pairs += [(f"sha256 of {name}", value) for name, value in sorted(found["raw"].items())]
    return pairs


def judge(found: dict[str, Any]) -> str:
    """Who listened to the engines, and how well it hears."""
    told = found["run"].get("judge")
    if not told:
        return "No judge listened."
    ceiling = told.get("ceiling_wer")
    if ceiling is None:
        return f"Judge: {told.get('name')}. Its own ceiling was not measured."
    cer = told.get("ceiling_cer")
    both = f"WER {number(ceiling, 'share')} %" + (
        "" if cer is None else f", CER {number(cer, 'share')} %"
    )
    return (
        f"Judge: {told.get('name')}. On {told.get('ceiling_on') or 'clean speech'} (n "
        f"{told.get('ceiling_n', '–')}) the judge itself makes {both}: no engine can be told to be "
        "better than that."
    )


def content(found: dict[str, Any]) -> str:
    """Which language model was asked whether answers fit; "" if none was."""
    told = found["run"].get("content_judge")
    if not told:
        return ""
    lacking = told.get("without_verdict")
    form = f", {lacking} of them without a verdict" if lacking else ""
    return (
        f"Language model: {told.get('name')}, asked about {told.get('n')} answers{form}. It saw "
        "the caller's turns, an answer that would fit, and the bot's text; it prefers its own "
        "style, and another version judges otherwise."
    )


def limits(found: dict[str, Any]) -> Iterator[str]:
    """What the figures cannot tell, in plain words."""
    told = {e: t for e, t in found["turns"].items() if t["n"]}
    if found["run"].get("starter"):
        yield (
            "The models are starter models: small ones, trained to be tried out on a laptop. Which "
            "engine is better with full-size models is not known from this run."
        )
    if told:
        yield (
            "Callers are recordings played in real time, not people: they wait, they do not get "
            "impatient, and their speech is cleaner than a telephone's."
        )
        if found["run"].get("suite") == "corpus":
            yield (
                "Every clip of the corpus was a call of its own. Where one ends is read off its "
                "loudness, so noise behind the last word makes an answer look sooner than it was. "
                "Its texts have no keys: whether answers fit was not measured."
            )
        yield (
            "Latency is from the last sound of the caller to the first audible sound of the bot on "
            "the recording of the call, at the caller's end. Networks add theirs."
        )
        late = {e: t["latency"]["caller_late"] for e, t in told.items()}
        if any(one["value"] for one in late.values()):
            shares = ", ".join(f"{e} {number(one['value'], 'share')} %" for e, one in late.items())
            yield (
                "In some turns a packet of the caller left more than 20 ms late, so the machine "
                f"was busy with the caller itself: {shares}."
            )
        for engine, t in told.items():
            if t["stages"]["inexact"]:
                yield (
                    f"{engine}: in {t['stages']['inexact']} of {t['stages']['n']} turns the stages "
                    "do not sum to the whole within 1 ms."
                )
            if not t["stages"]["n"]:
                yield f"{engine} sent no stages: where its time goes is not known."
            if not t["words"]["user"]["n"]:
                yield (
                    f"{engine} writes down nothing of what the caller says, so how well it "
                    "understands shows in its answers alone."
                )
        small = [e for e, t in told.items() if t["n"] < 200]
        if small:
            yield (
                f"{' and '.join(small)} had fewer than 200 turns: p95 and p99 are uncertain, as "
                "their intervals show."
            )
        yield (
            "DNSMOS is the guess of a network that learned from English calls. It tells noise from "
            "silence; it is no opinion of a person and no measure of good Telugu."
        )
        if any(t["sound"]["voice"]["n"] for t in told.values()):
            yield (
                "Likeness of voices is the cosine of a network's embeddings, trained on English "
                "readers. The shipped synthesizer's voices are 0.88 to 0.92 like themselves from "
                "sentence to sentence and 0.58 to 0.83 like one another."
            )
        yield (
            "The judge is a recogniser with errors of its own. Its rates compare the engines of "
            "this run with each other; they do not compare with rates of other judges or sets."
        )
        yield (
            "Whether an answer fits is decided by words of a written key, not by understanding: a "
            "good answer in other words counts as a miss."
        )
    if found["load"]:
        yield (
            "A load step is one measurement; caller and server may have shared a machine. Costs "
            "are prices of a dated table times capacity that was measured, or bounded where so "
            "said."
        )
    yield from (str(note).rstrip(".") + "." for note in found["run"].get("notes") or [])


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_plain(v)}" for k, v in sorted(value.items()))
    if isinstance(value, list):
        return ", ".join(_plain(v) for v in value)
    return str(value)


def _short(digest: Any) -> str:
    return str(digest)[:12] if digest else "–"


def _duration(seconds: Any) -> str:
    if not isinstance(seconds, int | float) or not math.isfinite(seconds):
        return "duration unknown"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
