"""Calls, branches and loops, as far as possible decided when a model is exported: inlined, chosen and unrolled.

TFLite has loops of its own, but none of their gradients, and what runs inside of one is not sped up by any runtime.
Once counters are folded (`folding`) nearly every loop of a model says how often it runs: recurrent layers, `tf.map_fn`,
`for i in tf.range(k)`. A loop that data end is refused.

What a branch keeps for its gradient it wraps in an optional, so that the other branch can give an empty one. Of a
branch that data decide both sides are computed, y = p ? a : b, and each side of its gradient gets its own optionals.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from model_export.errors import LoweringError
from model_export.lowering.folding import static_value
from model_export.lowering.scope import Scope

Emit = Callable[[str, Sequence[Any]], Sequence[Any]]  # emits the function of this name on these inputs
Flow = Callable[[Any, Sequence[Any], Emit], Sequence[Any]]  # (op, its inputs, emit) -> its outputs

# A loop of more steps makes a file that no device loads in reasonable time.
_MOST_STEPS = 1024


@dataclass(frozen=True)
class _Sides:
    """What the two sides of a branch on data keep for their gradients, each an optional."""

    held: tuple[Any, Any]


def _call(op: Any, inputs: Sequence[Any], emit: Emit) -> Sequence[Any]:
    return emit(op.get_attr("f").name, inputs)


def _if(op: Any, inputs: Sequence[Any], emit: Emit) -> Sequence[Any]:
    predicate = static_value(inputs[0])
    if predicate is None:
        if op.type != "StatelessIf":
            raise LoweringError("branches on data and may change variables; choose values with tf.where instead")
        one = emit(op.get_attr("then_branch").name, [_side(value, 0) for value in inputs[1:]])
        other = emit(op.get_attr("else_branch").name, [_side(value, 1) for value in inputs[1:]])
        return [_choose(inputs[0], *pair) for pair in zip(one, other, strict=True)]
    is_true = bool(predicate) if predicate.ndim == 0 else predicate.size > 0
    return emit(op.get_attr("then_branch" if is_true else "else_branch").name, inputs[1:])


def _side(value: Any, index: int) -> Any:
    return value.held[index] if isinstance(value, _Sides) else value


def _choose(predicate: Any, one: Any, other: Any) -> Any:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return _Sides((one, other))
    if not isinstance(one, tf.Tensor) or not isinstance(other, tf.Tensor):
        raise LoweringError("branches on data with lists; compute both branches and choose between them with tf.where")
    chosen = tf.where(tf.reshape(tf.cast(predicate, tf.bool), [1]), tf.reshape(one, [-1]), tf.reshape(other, [-1]))
    return tf.reshape(chosen, one.shape)


def _case(op: Any, inputs: Sequence[Any], emit: Emit) -> Sequence[Any]:
    index = static_value(inputs[0])
    if index is None:
        raise LoweringError("branches on data; compute every branch and choose between them with tf.where")
    branches = op.get_attr("branches")
    return emit(branches[index if 0 <= index < len(branches) else -1].name, inputs[1:])


def _while(op: Any, inputs: Sequence[Any], emit: Emit) -> Sequence[Any]:
    condition, body = op.get_attr("cond").name, op.get_attr("body").name
    state = list(inputs)
    for _ in range(_MOST_STEPS):
        (goes_on,) = emit(condition, state)
        known = static_value(goes_on)
        if known is None:
            raise LoweringError("loops as long as data say; loop a fixed number of times and mask with tf.where")
        if not known:
            return state
        state = list(emit(body, state))
    raise LoweringError(f"loops more than {_MOST_STEPS} times; every step is unrolled, so loop less often")


FLOWS: Mapping[str, Flow] = {
    "Case": _case,
    "If": _if,
    "PartitionedCall": _call,
    "StatefulPartitionedCall": _call,
    "StatelessCase": _case,
    "StatelessIf": _if,
    "StatelessWhile": _while,
    "While": _while,
}


def _hold(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return [tuple(inputs)]


def _hold_nothing(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    return [()]


def _unwrap(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    held: Any = inputs[0]
    if isinstance(held, _Sides):
        raise LoweringError("needs the gradient of a branch on data inside of another; choose with tf.where instead")
    return tuple(held)


LOWERINGS = {"OptionalFromValue": _hold, "OptionalGetValue": _unwrap, "OptionalNone": _hold_nothing}
