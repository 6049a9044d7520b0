"""The server's part of a round: `prepare(state) -> broadcast` and `update(state, sums) -> state, metrics`.

Both are signatures of `server.tflite`. `prepare` takes the state's tensors by name and gives the broadcast's. `update`
takes them too, and every summed tensor `t` of the update as `sum_t`; it gives the whole new state and its own metrics.
"""

import numpy as np

from plans.errors import ProgramError
from plans.manifest import Manifest, Port, Work
from plans.program import Program, unbind_all
from wire.tensors import Array, Tensors

SUM_PREFIX = "sum_"


def prepare(program: Program, manifest: Manifest, work: Work, state: Tensors) -> dict[str, Array]:
    """What every client of a round gets, from the server's state; both as logical tensors."""
    outputs = program.call_through(work.prepare, state_ports(manifest), state)
    return unbind_all(work.broadcast, outputs)


def update(
    program: Program, manifest: Manifest, work: Work, state: Tensors, sums: Tensors
) -> tuple[dict[str, Array], dict[str, float]]:
    """The server's next state and its metrics, from the last state and the sums over the clients' updates.

    Args:
        sums: the logical sum of every tensor of the update, under the update's own names.

    Raises:
        ProgramError: the work changes no state, the runtime failed, or what it gave is not finite.
    """
    if work.update_state is None:
        raise ProgramError(f"a work for {work.role.value} leaves the server's state as it is")
    ports = state_ports(manifest) | {SUM_PREFIX + name: port for name, port in work.update.items()}
    inputs = {**state, **{SUM_PREFIX + name: sums[name] for name in work.update}}
    outputs = program.call_through(work.update_state, ports, inputs)
    metrics = unbind_all(work.server_metrics, outputs)
    next_state = unbind_all(state_ports(manifest), outputs)
    _refuse_non_finite({**next_state, **metrics})
    return next_state, {name: float(value) for name, value in metrics.items()}


def _refuse_non_finite(tensors: Tensors) -> None:
    for name, values in tensors.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ProgramError(f"update gave NaN or infinity in {name!r}; every value must be finite")


def state_ports(manifest: Manifest) -> dict[str, Port]:
    """The ports of the server's state."""
    return {name: tensor.port for name, tensor in manifest.state.items()}
