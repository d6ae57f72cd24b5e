"""One slot's rows in the streaming states of Mimi and Moshi: cleaned, or given a condition.

The only file that touches the streaming insides of the `moshi` package (0.2.13);
tests/models/test_duplex.py fails when another version lays them out differently.
"""

import torch
from moshi.models.compression import MimiModel
from moshi.models.lm import LMGen


def wipe(mimi: MimiModel, lm: LMGen, slots: list[int]) -> None:
    """Resets these slots and erases what their call left in memory.

    The library's own reset only rewinds the key-value caches. What the caller said would stay in
    memory, and a NaN there would outlive its call: attention gives masked positions the weight 0,
    and 0 x NaN is NaN. So the rows are overwritten.
    """
    state = lm._streaming_state
    assert state is not None
    mask = torch.zeros(state.batch_size, dtype=torch.bool)
    mask[slots] = True
    mimi.reset_streaming(mask)
    lm.reset_streaming(mask)
    state.cache[slots] = lm.lm_model.ungenerated_token_id
    # LMGen keeps its language model out of its own tree of streaming modules.
    for module in (mimi, lm.lm_model):
        for part in module.get_streaming_state().values():
            kv = getattr(part, "kv_cache", None)
            if kv is not None:
                kv.cache[:, slots] = 0


def set_condition(lm: LMGen, slot: int, condition: torch.Tensor) -> None:
    """Puts the vector `[1, 1, dim]` into the slot's row of the condition added to every input.

    The library reads its condition tensors once, at the start; from then on only this row counts.
    """
    state = lm._streaming_state
    assert state is not None
    assert state.condition_sum is not None
    state.condition_sum[slot] = condition[0]


def streaming_bytes(mimi: MimiModel, lm: LMGen) -> int:
    """Bytes all streaming states hold: fixed by the batch and the context, not by a call's age."""
    seen: dict[int, int] = {}
    for module in (mimi, lm, lm.lm_model):
        for part in module.get_streaming_state().values():
            holders = [part, getattr(part, "kv_cache", None)]
            for holder in holders:
                for value in vars(holder).values() if holder is not None else ():
                    if isinstance(value, torch.Tensor):
                        storage = value.untyped_storage()
                        seen[storage.data_ptr()] = storage.nbytes()
    return sum(seen.values())
