"""Which lowering stands for which TensorFlow op: ours by family, and those that a user registers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from model_export.lowering import (
    activations,
    bits,
    blocks,
    broadcasting,
    contraction,
    control_flow,
    convolution,
    convolution3d,
    depthwise,
    exponentials,
    finiteness,
    indices,
    integers,
    linear,
    lists,
    losses,
    normalization,
    passing,
    pieces,
    pooling,
    pooling3d,
    random,
    reductions,
    resizing,
    roots,
    scaling,
    shapes,
    slicing,
    special,
    state,
    trigonometry,
)
from model_export.lowering.scope import Scope

# (op of the traced graph, its inputs as already emitted, scope) -> its outputs, built in the current graph.
# It gives None for a form of its op that is builtin as it is, and raises a LoweringError for one it does not cover.
Lowering = Callable[[Any, Sequence[Any], Scope], Sequence[Any] | None]

FAMILIES = (
    activations,
    bits,
    blocks,
    broadcasting,
    contraction,
    control_flow,
    convolution,
    convolution3d,
    depthwise,
    exponentials,
    finiteness,
    indices,
    integers,
    linear,
    lists,
    losses,
    normalization,
    passing,
    pieces,
    pooling,
    pooling3d,
    random,
    reductions,
    resizing,
    roots,
    scaling,
    shapes,
    slicing,
    special,
    state,
    trigonometry,
)
_OURS: Mapping[str, Lowering] = {name: lower for family in FAMILIES for name, lower in family.LOWERINGS.items()}
_registered: dict[str, Lowering] = {}


def register_lowering(op_type: str) -> Callable[[Lowering], Lowering]:
    """Use the decorated function for every op of this type from now on; it goes before ours.

    The function builds, with ops that TFLite has, what the op computes. It must be exact, for every export is verified.

    Example:
        >>> @model_export.register_lowering("Cross")
        ... def cross(op, inputs, scope):
        ...     (a, b, c), (x, y, z) = (tf.unstack(value, axis=-1) for value in inputs)
        ...     return [tf.stack([b * z - c * y, c * x - a * z, a * y - b * x], -1)]
    """

    def register(lower: Lowering) -> Lowering:
        _registered[op_type] = lower
        return lower

    return register


def unregister_lowering(op_type: str) -> None:
    """Take back what `register_lowering` did for this type."""
    _registered.pop(op_type, None)


def lowering_of(op_type: str) -> Lowering | None:
    """The lowering for ops of this type, or None if they are copied."""
    return _registered.get(op_type) or _OURS.get(op_type)
