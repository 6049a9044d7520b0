"""Variables: one read between two assignments, and plain assignments instead of read-modify-write.

A training step that reads each parameter once saves one copy of the model a step.
"""

from collections.abc import Callable, Sequence
from typing import Any

from model_export.lowering.scope import Scope


def _read(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return [scope.read(inputs[0], op.get_attr("dtype"), op.outputs[0].shape)]


def _assign(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    scope.assign(*inputs)
    return []


def _change(combine: Callable[[Any, Any], Any]) -> Callable[[Any, Sequence[Any], Scope], Sequence[Any]]:
    def lower(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
        handle, delta = inputs
        scope.assign(handle, combine(scope.read(handle, delta.dtype, delta.shape), delta))
        return []

    return lower


LOWERINGS = {
    "AssignAddVariableOp": _change(lambda value, delta: value + delta),
    "AssignSubVariableOp": _change(lambda value, delta: value - delta),
    "AssignVariableOp": _assign,
    "ReadVariableOp": _read,
}
