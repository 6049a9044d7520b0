"""The server's part of a round: `prepare` before it, `update_state` after it. Both are signatures of `server.tflite`.

    prepare(state, carried)                        -> broadcast, temp
    update_state(state, carried, temp, sum_<name>) -> state, result, metrics      in the last phase
                                                   -> carried, metrics            in one that another follows

Tensors go in and out under their own names; only what the aggregation gives has `sum_` before it.
"""

from dataclasses import dataclass

import numpy as np

from plans.errors import ProgramError
from plans.finiteness import is_finite
from plans.manifest import Manifest, Work
from plans.program import Program, unbind_all
from wire.tensors import Array, Tensors

SUM_PREFIX = "sum_"
_NOTHING: Tensors = {}


@dataclass(frozen=True)
class Prepared:
    """What a round begins with: what every client gets, and what `update` alone gets."""

    broadcast: dict[str, Array]
    temp: dict[str, Array]


@dataclass(frozen=True)
class Updated:
    """What a round came to.

    Attributes:
        state: the next state; nothing in a phase that another follows.
        result: the typed result; its values may be NaN or infinite where the computation says so.
        carried: for the next phase; nothing in the last one.
    """

    state: dict[str, Array]
    result: dict[str, Array]
    metrics: dict[str, float]
    carried: dict[str, Array]


def prepare(
    program: Program, manifest: Manifest, work: Work, state: Tensors, *, carried: Tensors = _NOTHING
) -> Prepared:
    """What a round begins with, from the server's state; all as logical tensors.

    Args:
        carried: what the phase before gave, in a plan of several.
    """
    ports = manifest.state_ports | manifest.carried_to(work)
    outputs = program.call_through(work.prepare, ports, {**state, **carried})
    return Prepared(unbind_all(work.broadcast, outputs), unbind_all(work.temp, outputs))


def update(
    program: Program,
    manifest: Manifest,
    work: Work,
    state: Tensors,
    aggregate: Tensors,
    *,
    temp: Tensors = _NOTHING,
    carried: Tensors = _NOTHING,
) -> Updated:
    """What a round came to, from the last state and what the clients' updates became.

    Args:
        aggregate: the logical tensors of `work.aggregate`, under those names.
        temp: what this round's `prepare` gave for it.
        carried: see `prepare`.

    Raises:
        ProgramError: the work changes no state, the runtime failed, or the state it gave is not finite.
    """
    if work.update_state is None:
        raise ProgramError(f"a work for {work.role.value} leaves the server's state as it is")
    ports = manifest.state_ports | manifest.carried_to(work) | work.temp
    ports |= {SUM_PREFIX + name: port for name, port in work.aggregate.items()}
    sums = {SUM_PREFIX + name: value for name, value in aggregate.items()}
    outputs = program.call_through(work.update_state, ports, {**state, **carried, **temp, **sums})
    metrics = unbind_all(work.server_metrics, outputs)
    next_state = unbind_all(manifest.state_ports, outputs) if manifest.gives_state(work) else {}
    changed = {name: value for name, value in next_state.items() if not _is_unchanged(value, state[name])}
    _refuse_non_finite({**changed, **metrics})
    return Updated(
        state=next_state,
        result=unbind_all(work.result_ports, outputs),
        metrics={name: float(value) for name, value in metrics.items()},
        carried=unbind_all(work.carried, outputs),
    )


def _is_unchanged(value: Array, before: Array) -> bool:
    """Whether a tensor is what it was: an argument of infinity that a computation passes on is nobody's mistake."""
    return np.array_equal(value, before, equal_nan=value.dtype.kind == "f")


def _refuse_non_finite(tensors: Tensors) -> None:
    for name, values in tensors.items():
        if not is_finite(values):
            raise ProgramError(f"update gave NaN or infinity in {name!r}; every value must be finite")
