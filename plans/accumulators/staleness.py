"""What an update counts that was begun some rounds before the one that counts it.

Nguyen et al., "Federated Learning with Buffered Asynchronous Aggregation" (2022): of K updates, each τ_i rounds stale,

    Δ̄ = (1/K) Σ s(τ_i) Δ_i        s(τ) = (1 + τ)^-a, a = 1/2 in the paper

A mean is two sums, of weight × value and of the weight. s multiplies the first alone: so n_i examples count as n_i
updates would, and where every n_i is 1 it is the paper's formula. Dividing by Σ s(τ_i) instead would let a buffer of
updates that are all stale move the model as far as a fresh one.

s is applied to the floats, in their own dtype, before they become integers: s ≤ 1, so an update that fits a sum still
does, and sums stay exact in any order.
"""

import numpy as np

from plans.errors import UnsupportedPlanError
from plans.manifest import Kind, Role, Work
from wire.tensors import Array, Tensors


def staleness_weight(staleness: int, exponent: float) -> float:
    """s(τ), which is 1 for a fresh update."""
    return float((1.0 + staleness) ** -exponent)


def weighed(work: Work, update: Tensors, weight: float) -> Tensors:
    """An update as it counts with this weight."""
    if weight == 1.0:
        return update
    values = {name for entry in work.aggregation for name in entry.values}
    return {name: _scaled(array, weight) if name in values else array for name, array in update.items()}


def check_weighable(work: Work) -> None:
    """Refuse a work whose late updates would not mean what this module says.

    A sum, an extreme or a robust mean of what several models gave is none of any of them; what a plan's own signatures,
    a quantisation or a noise make of an update may go by the round that it was begun in.

    Raises:
        UnsupportedPlanError: it does not train, or its aggregation is anything but means of floats without noise.
    """
    if work.role is not Role.TRAIN or work.update_state is None:
        raise UnsupportedPlanError(
            f"asynchronous rounds are for works that train, found one for {work.role.value}; leave `concurrency` out"
        )
    for entry in work.aggregation:
        are_floats = all(np.dtype(work.update[name].spec.dtype).kind == "f" for name in entry.values)
        if entry.kind is not Kind.MEAN or entry.noise is not None or not are_floats:
            noise = " with noise" if entry.noise is not None else ""
            raise UnsupportedPlanError(
                "asynchronous rounds weigh updates by their staleness, so they take means of floats without noise; "
                f"the aggregation {entry.name!r} is a {entry.kind.value}{'' if are_floats else ' of integers'}{noise}; "
                "leave `concurrency` out"
            )


def _scaled(values: Array, weight: float) -> Array:
    return np.asarray(values * values.dtype.type(weight))
