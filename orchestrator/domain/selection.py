"""Which devices a task may select.

`draw_of`, `is_set_aside` and `has_rested` are the rules that look at the device itself; the last two take NumPy arrays
as well, one number a device.
"""

import hashlib
import re

import numpy as np
from numpy.typing import NDArray

from plans.manifest import Manifest, Work
from wire.messages import CheckIn, Runtime
from wire.operator_messages import RoundPolicy

NEVER = -(1 << 30)
"""The last round of a device that has reported in none."""

_VERSION = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})*")


def draw_of(device_id: str) -> float:
    """A device's own number in [0, 1): the same for every task, so that shares of different sizes lie in one another.

    What one task sets aside for evaluation, a task with a larger share never trains on either.
    """
    return int.from_bytes(hashlib.sha256(device_id.encode()).digest()[:6]) / (1 << 48)


def is_set_aside(draw: float | NDArray[np.floating], share: float) -> bool | NDArray[np.bool_]:
    """Whether a device of this draw is of the share that only evaluates."""
    return draw < share


def has_rested(
    last_round: int | NDArray[np.integer], round_number: int, minimum_rounds_between: int
) -> bool | NDArray[np.bool_]:
    """Whether enough rounds lie between this one and the last one in which a device reported (`NEVER` for none)."""
    return last_round + minimum_rounds_between < round_number


def ineligible_because(
    check_in: CheckIn, draw: float, policy: RoundPolicy, manifest: Manifest, work: Work, *, reads: bool
) -> str | None:
    """Why a device may not be selected for a task, or None where it may.

    Args:
        draw: the device's own, see `draw_of`.
        reads: whether the task reads another's checkpoints.
    """
    if policy.evaluation_share and is_set_aside(draw, policy.evaluation_share) != reads:
        return "it is not set aside for evaluation" if reads else "it is set aside for evaluation"
    for name, wanted in policy.attributes.items():
        if check_in.attributes.get(name) != wanted:
            return f"its attribute {name!r} is not {wanted!r}"
    if (reason := _unfit_runtime(check_in.runtime, policy)) is not None:
        return reason
    if lacking := sorted(set(manifest.required_features) - set(check_in.runtime.features)):
        return f"its runtime lacks the feature {lacking[0]!r}"
    held = {collection.name: collection.examples_about for collection in check_in.collections}
    for name in sorted({one.selector.collection for one in work.passes}):
        if held.get(name, 0) < policy.minimum_examples:
            return f"it holds fewer than {policy.minimum_examples} examples in {name!r}"
    return None


def _unfit_runtime(runtime: Runtime, policy: RoundPolicy) -> str | None:
    if not _is_at_least(runtime.sdk_version, policy.minimum_sdk_version):
        return f"its SDK is older than {policy.minimum_sdk_version}"
    if not policy.interpreters:
        return None
    if runtime.interpreter not in policy.interpreters:
        return f"its interpreter is not {' or '.join(sorted(policy.interpreters))}"
    oldest = policy.interpreters[runtime.interpreter]
    return None if _is_at_least(runtime.interpreter_version, oldest) else f"its interpreter is older than {oldest}"


def _is_at_least(version: str, oldest: str) -> bool:
    """Whether a version is no older; one that begins with no number is older than every other."""
    return not oldest or _numbers(version) >= _numbers(oldest)


def _numbers(version: str) -> list[int]:
    found = _VERSION.match(version[:200])
    numbers = [int(part) for part in found[0].split(".")] if found else []
    while numbers and numbers[-1] == 0:  # 2.0 is 2
        numbers.pop()
    return numbers if found else [-1]
