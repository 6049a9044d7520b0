"""Variables: one read between two assignments, and plain assignments instead of read-modify-write.

A training step that reads each parameter once saves one copy of the model a step. Rows that are gathered from a
variable, as an embedding does, or changed in it:

    gather(i)         rows i of v
    scatter ±u at i   v ± Σ_k onehot(i_k) u_k, an unsorted segment sum: indices may repeat
    scatter = u at i  v where no index points, else u; of several updates of a row TensorFlow promises none
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from model_export.lowering.graphs import variable_spec
from model_export.lowering.indices import gather, narrowed, sums_by_segment
from model_export.lowering.scope import Scope


def _read(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return [scope.read(inputs[0])]


def _assign(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    scope.assign(*inputs)
    return []


def _change(combine: Callable[[Any, Any], Any]) -> Callable[[Any, Sequence[Any], Scope], Sequence[Any]]:
    def lower(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
        handle, delta = inputs
        scope.assign(handle, combine(scope.read(handle), delta))
        return []

    return lower


def _shape(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    shape, _ = variable_spec(inputs[0])
    return [tf.constant(shape, op.outputs[0].dtype)]


def _gather(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    handle, indices = inputs
    return [gather(scope.read(handle), indices, batch_dims=op.get_attr("batch_dims"))]


def _scatter(combine: Callable[[Any, Any], Any]) -> Callable[[Any, Sequence[Any], Scope], Sequence[Any]]:
    def lower(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
        handle, indices, updates = inputs
        held = scope.read(handle)
        scope.assign(handle, combine(held, _sums_by_row(indices, updates, held.shape)))
        return []

    return lower


def _sums_by_row(indices: Any, updates: Any, shape: Any) -> Any:
    """The sum of the updates of every row of a variable."""
    flat = tf.reshape(narrowed(indices), [-1])
    rows = tf.reshape(tf.broadcast_to(updates, [*indices.shape, *shape[1:]]), [flat.shape[0], *shape[1:]])
    return sums_by_segment(rows, flat, shape[0])


def _scatter_update(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    handle, indices, updates = inputs
    held = scope.read(handle)
    counts = _sums_by_row(indices, tf.ones_like(updates), held.shape)
    means = _sums_by_row(indices, updates, held.shape) / tf.maximum(counts, tf.ones([], held.dtype))
    scope.assign(handle, tf.where(counts > 0, means, held))
    return []


LOWERINGS = {
    "AssignAddVariableOp": _change(lambda value, delta: value + delta),
    "AssignSubVariableOp": _change(lambda value, delta: value - delta),
    "AssignVariableOp": _assign,
    "ReadVariableOp": _read,
    "ResourceGather": _gather,
    "ResourceScatterAdd": _scatter(lambda value, sums: value + sums),
    "ResourceScatterSub": _scatter(lambda value, sums: value - sums),
    "ResourceScatterUpdate": _scatter_update,
    "VariableShape": _shape,
}
