"""A language model's opinion of a run's answers, beside what the written keys say.

Rows and the set they come from in, the same rows with `judged_fits` out; what a row already has
stays. Knows nothing of recordings or reports.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

from benchmarks.judge.asking import Asking, Note, merged
from benchmarks.judge.content import ContentJudge
from benchmarks.keys.example import filled
from benchmarks.sets.turnset import Conversation
from benchmarks.suite.rows import TurnRow

WORKERS = 4  # requests at a time: the model is a server's
NO_CLOCK = "an answer was not judged: what fits depends on the clock of a server elsewhere"


def opinions(
    rows: Sequence[TurnRow],
    conversations: Mapping[str, Conversation],
    judge: ContentJudge,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    note: Callable[[str], None] = lambda sentence: None,
) -> list[TurnRow]:
    """The rows in their order, with a verdict on every answer that has a text and an example.

    Args:
        rows: of the run; those of the warm-up and those without an answer stay as they are.
        conversations: of the run's set, by id.
        judge: who is asked, one answer at a time, with what the caller said before.
        progress: called with answers judged and in all, from the calling thread.
        note: called with each sentence for the run's notes, at the end.
    """
    found = list(rows)
    notes: list[Note] = []
    asking = Asking(notes)
    todo = [n for n, row in enumerate(rows) if _to_judge(row, conversations)]

    def judged(n: int) -> TurnRow:
        row, turns = rows[n], conversations[rows[n].conversation].turns
        now = datetime.fromisoformat(row.answered_at) if row.answered_at else None
        example = filled(turns[row.turn - 1].example, now)
        if example is None:
            notes.append((n, NO_CLOCK))
            return row
        before = [turn.text for turn in turns[: row.turn - 1]]
        verdict = asking.ask(n, lambda: judge.judge(row.reference, row.bot_text, example, before))
        if verdict is None:
            return row
        return replace(row, judged_fits=verdict.fits, judged_reason=verdict.reason)

    with ThreadPoolExecutor(WORKERS, "judge") as pool:
        try:
            for done, (n, row) in enumerate(zip(todo, pool.map(judged, todo), strict=True), 1):
                found[n] = row
                progress(done, len(todo))
        except BaseException:  # Ctrl-C: what is asked is answered, what waits is not asked
            pool.shutdown(cancel_futures=True)
            raise
    for sentence in merged(notes, rows):
        note(sentence)
    return found


def _to_judge(row: TurnRow, conversations: Mapping[str, Conversation]) -> bool:
    if row.warmup or not row.answered or not row.bot_text.strip() or row.judged_reason is not None:
        return False
    known = conversations.get(row.conversation)
    return known is not None and bool(known.turns[row.turn - 1].example)
