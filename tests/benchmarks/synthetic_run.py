"""A run's directory as a bench writes it, made up from a seed: two engines, turns, gaps, sound.

The true values are known: s2s answers 250 ms sooner and starts too early now and then, the cascade
loses turns. Sentences are this project's own.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.duplex import rows as duplex_rows
from benchmarks.duplex.rows import DuplexRow
from benchmarks.suite.rows import RUN, TURNS, Quality, TurnRow, append, write_run
from models.audio import write_stereo

RATE = 16_000
SAID = (
    "రేపు ఉదయం వైద్యుడిని కలవాలి",
    "నా ఖాతాలో ఎంత డబ్బు ఉంది",
    "రైలు ఎన్ని గంటలకు వస్తుంది",
    "వాన పడుతుందా ఈ రోజు",
    "దయచేసి మళ్ళీ చెప్పండి",
    "పది గంటలకు సమయం ఉంది మీకు సరిపోతుందా",
    "మీ ఖాతాలో రెండు వేల రూపాయలు ఉన్నాయి",
    "రైలు సాయంత్రం ఆరు గంటలకు వస్తుంది",
    "ఈ రోజు వాన పడదు",
    "సరే నేను మళ్ళీ చెబుతాను",
)
ANSWERS = SAID[5:]


def write_synthetic_run(
    directory: Path,
    *,
    engines: tuple[str, ...] = ("s2s", "cascade"),
    conversations: int = 17,
    turns: int = 3,
    audio_calls: int = 2,
    slower_ms: float = 0.0,
    seed: int = 7,
    load: bool = True,
    duplex: bool = True,
) -> Path:
    """Writes `run.json`, `turns.jsonl`, `duplex.jsonl`, `load.jsonl`, the sound of a few calls."""
    directory.mkdir(parents=True, exist_ok=True)
    rows = [
        row
        for number, engine in enumerate(engines)
        for row in _engine(engine, conversations, turns, audio_calls, slower_ms, seed + number)
    ]
    append(directory / TURNS, rows)
    for row in rows:
        if row.audio and row.turn == 1:
            _call(directory, [r for r in rows if r.audio == row.audio])
    if load:
        lines = [json.dumps(step) for engine in engines for step in _ramp(engine)]
        (directory / "load.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if duplex:
        told = [row for engine in engines for row in _duplex(engine, seed)]
        duplex_rows.append(directory / duplex_rows.DUPLEX, told)
    counted = [row.engine for row in rows if not row.warmup]
    scheduled = {engine: counted.count(engine) for engine in engines}
    write_run(directory / RUN, _run(engines, scheduled))
    return directory


def _engine(
    engine: str, conversations: int, turns: int, audio_calls: int, slower_ms: float, seed: int
) -> Iterator[TurnRow]:
    rng = np.random.default_rng(seed)
    fast = engine == "s2s"
    for conversation in range(-1, conversations):
        for turn in range(1, turns + 1):
            name = f"c{max(conversation, 0):02d}"
            reference = SAID[(max(conversation, 0) + turn) % 5]
            bot = ANSWERS[(max(conversation, 0) + turn) % 5]
            v2v = float(rng.normal(430, 90) if fast else rng.normal(690, 110)) + slower_ms
            v2v += 260.0 * (turn == 1) * (not fast)
            if fast and rng.random() < 0.06:
                v2v = -float(rng.uniform(50, 400))
            v2v = round(v2v, 1)
            lost = rng.random() < (0.02 if fast else 0.07)
            end = 500.0 + 8_000 * (turn - 1) + 1_700 + 4 * len(reference)
            length = 900.0 + 40 * len(bot)
            common = {
                "engine": engine,
                "suite": "standard-1",
                "conversation": name,
                "turn": turn,
                "repeat": 0,
                "order": conversation + 1,
                "warmup": conversation < 0,
                "call_id": f"{engine}-{conversation}",
                "reference": reference,
                "user_text": "" if fast else _misheard(reference, rng, 0.12),
                "user_end_ms": end,
                "caller_late_ms": round(float(rng.uniform(0, 3)), 1),
            }
            if 0 <= conversation < audio_calls:
                common["audio"] = f"audio/{engine}-{name}.wav"
                common["audio_from_ms"] = end - 2_000
                common["audio_to_ms"] = end + 3_500
            if lost:
                yield TurnRow(**common, status="silent", reason="the bot said nothing within 10 s")
                continue
            heard = _misheard(bot, rng, 0.3 if fast else 0.15)
            fits = bool(rng.random() < (0.6 if fast else 0.85))
            yield TurnRow(
                **common,
                status="answered",
                bot_text=bot,
                heard_text=heard,
                fits=fits,
                judged_fits=fits or turn == 2,
                judged_reason="made up",
                bot_start_ms=round(end + v2v, 1),
                bot_end_ms=round(end + v2v + length, 1),
                v2v_ms=v2v,
                false_starts=int(rng.random() < (0.1 if fast else 0.02)),
                stages=_stages(fast, v2v, rng),
                underruns=int(rng.random() < 0.03),
                quality=_quality(fast, turn, rng),
            )


def _stages(fast: bool, v2v: float, rng: np.random.Generator) -> dict[str, float]:
    if fast:
        return {"answer_ms": round(v2v - 12.5, 1), "residual_ms": 12.5}
    named = {
        "endpointing_ms": 320.0,
        "asr_ms": round(float(rng.uniform(60, 120)), 1),
        "llm_first_token_ms": round(float(rng.uniform(30, 60)), 1),
        "first_clause_ms": round(float(rng.uniform(40, 80)), 1),
        "tts_first_audio_ms": round(float(rng.uniform(20, 40)), 1),
    }
    return named | {"residual_ms": round(v2v - sum(named.values()), 1)}


def _quality(fast: bool, turn: int, rng: np.random.Generator) -> Quality:
    base = 3.1 if fast else 3.5
    return Quality(
        dnsmos_sig=round(base + 0.3 + float(rng.normal(0, 0.1)), 3),
        dnsmos_bak=round(base + 0.5 + float(rng.normal(0, 0.1)), 3),
        dnsmos_ovrl=round(base + float(rng.normal(0, 0.1)), 3),
        dnsmos_p808=round(base + 0.1 + float(rng.normal(0, 0.1)), 3),
        clipped=0.0 if rng.random() < 0.95 else 0.001,
        peak_dbfs=-3.0,
        longest_gap_ms=round(float(rng.uniform(60, 400)), 1),
        voice_likeness=None if turn == 1 else round(0.92 - 0.02 * turn, 2),
    )


def _misheard(text: str, rng: np.random.Generator, rate: float) -> str:
    return " ".join("మాట" if rng.random() < rate else word for word in text.split())


def _call(directory: Path, rows: list[TurnRow]) -> None:
    """A stereo file with a tone for each side where the rows say that it speaks."""
    length = int(max(row.audio_to_ms or 0 for row in rows) * RATE / 1000)
    sides = np.zeros((2, length), np.float32)
    times = np.arange(length) / RATE
    for row in rows:
        spans = [(0, (row.user_end_ms or 0) - 1_700, row.user_end_ms, 180.0)]
        if row.bot_start_ms is not None:
            spans.append((1, row.bot_start_ms, row.bot_end_ms, 260.0))
        for side, start, end, pitch in spans:
            at = slice(int(start * RATE / 1000), int((end or 0) * RATE / 1000))
            shape = 0.5 + 0.5 * np.sin(2 * np.pi * 3.1 * times[at])
            sides[side, at] = 0.3 * shape * np.sin(2 * np.pi * pitch * times[at])
    target = directory / (rows[0].audio or "")
    target.parent.mkdir(exist_ok=True)
    write_stereo(target, sides[0], sides[1], RATE)


def _ramp(engine: str) -> Iterator[dict[str, object]]:
    for calls in (1, 2, 4, 8, 16, 24):
        step: dict[str, object] = {
            "engine": engine,
            "hardware": "NVIDIA L4",
            "model": f"starter/{engine}",
            "precision": "bf16",
            "calls": calls,
            "seconds": 60.0,
            "underruns": 0,
            "turns": 6 * calls,
            "cpu_percent": 12.0 * calls,
            "memory_bytes": 2_000_000_000 + 90_000_000 * calls,
        }
        if engine == "s2s":
            step |= {"tick_ms_p50": 20 + 2.0 * calls, "tick_ms_p99": 26 + 2.6 * calls}
            step |= {"context": 700.0, "v2v_ms_p50": 400 + 5 * calls, "v2v_ms_p95": 560 + 9 * calls}
        else:
            step |= {"v2v_ms_p50": 640 + 11 * calls, "v2v_ms_p95": 820 + 25 * calls}
        yield step


def _duplex(engine: str, seed: int) -> Iterator[DuplexRow]:
    """Twelve stimuli of every task: s2s stops at once and takes pauses, the cascade the reverse."""
    rng = np.random.default_rng([seed, len(engine)])
    fast = engine == "s2s"
    for task in duplex_rows.TASKS:
        for number in range(12):
            taken = rng.random() < ((0.7 if fast else 0.2) if task == "pause" else 0.95)
            late = round(float(rng.normal(400 if fast else 700, 60)), 1)
            stop = round(float(rng.normal(240 if fast else 380, 40)), 1)
            yield DuplexRow(
                engine=engine,
                suite="duplex-v1",
                task=task,
                stimulus=f"{task}-{number:02d}",
                condition="hold 700 ms" if task == "pause" else "plain",
                order=number,
                call_id=f"{engine}-{task}-{number // 4}",
                status="answered",
                user=(500.0, 3000.0),
                second=(5000.0, 6000.0) if task in ("interruption", "user-backchannel") else None,
                took_turn=bool(taken),
                latency_ms=late,
                stop_ms=stop if task in ("interruption", "user-backchannel") else None,
                stale_ms=20.0 if task == "interruption" else None,
                went_on=not fast if task == "user-backchannel" else None,
                backchannel_hz=0.02 if task == "backchannel" else None,
                backchannel_jsd=0.9 if task == "backchannel" else None,
            )


def _run(engines: tuple[str, ...], scheduled: dict[str, int]) -> dict[str, object]:
    roles = {
        "s2s": {"s2s": "starter/s2s"},
        "cascade": {"asr": "starter/asr", "llm": "starter/llm", "tts": "espeak"},
    }
    return {
        "suite": "standard-1",
        "suite_sha256": "5f" * 32,
        "engines": list(engines),
        "repeats": 1,
        "started": "2026-11-26T10:00:00+00:00",
        "seconds": 512.0,
        "complete": True,
        "profile": {"name": "starter", "sha256": "ab" * 32},
        "url": None,
        "starter": True,
        "models": {engine: roles.get(engine, {}) for engine in engines},
        "weights": {"asr": "cd" * 32, "llm": "ef" * 32, "s2s": "12" * 32},
        "environment": {
            "cpu": "Example CPU at 2.5 GHz",
            "cores": 2,
            "memory_gb": 8.2,
            "system": "Linux 6.1",
            "python": "3.11.9",
            "gpu": None,
            "driver": None,
            "versions": {"torch": "2.13.0", "pipecat-ai": "1.14.0", "moshi": "0.2.13"},
            "commit": "0123456789abcdef",
            "dirty": False,
        },
        "judge": {
            "name": "starter/asr",
            "ceiling_cer": 0.031,
            "ceiling_wer": 0.094,
            "ceiling_n": 120,
            "ceiling_on": "clean synthetic speech",
        },
        "content_judge": {"name": "small at 127.0.0.1", "n": 90, "without_verdict": 2},
        "rules": {"warmup": "first call of an engine", "patience_s": 10, "energy": "-45 dBFS"},
        "scheduled": scheduled,
        "notes": ["Starter models: small models for trying out."],
    }
