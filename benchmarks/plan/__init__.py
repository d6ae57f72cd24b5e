"""Capacity and cost: from a measured ramp to GPUs, callers and prices."""
