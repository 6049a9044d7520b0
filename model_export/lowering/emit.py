"""Builds a traced function anew, op by op: folded, lowered where the registry has a lowering, or copied.

What can be neither is refused here, where it is known what an op takes: a loop that is unrolled, or a branch that is
never taken, is not held against the model.

Rules found the hard way: creation order is not topological once gradients were added, so the ops are sorted; what an op
does to a variable counts, so stateful ops are kept whether or not an output needs them; static shapes of the traced
graph are carried over.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from model_export.errors import LoweringError
from model_export.lowering.control_flow import FLOWS
from model_export.lowering.folding import fold
from model_export.lowering.graphs import called_graph, copy_op, retyped
from model_export.lowering.integers import AS_INT32
from model_export.lowering.lists import ON_LISTS, TensorList
from model_export.lowering.registry import lowering_of
from model_export.lowering.scope import Scope
from model_export.lowering.support import refusal

_SOURCES = frozenset({"Placeholder"})
_HARMLESS = frozenset({"Placeholder", "ReadVariableOp"})


def emit(graph: Any, environment: Mapping[Any, Any], outputs: Sequence[Any]) -> list[Any]:
    """Emit into the current graph what `outputs` of a traced graph need, and everything that changes a variable.

    Args:
        graph: the traced graph.
        environment: for every placeholder of the graph, as `tensor.ref()`, the tensor that stands for it here.
        outputs: tensors of the traced graph.

    Returns:
        The tensors of the current graph that stand for `outputs`.

    Raises:
        LoweringError: an op has neither a lowering nor a builtin form, or its lowering does not cover it.
    """
    return _emit_body(_needed_ops(graph, outputs), dict(environment), outputs, Scope())


def _needed_ops(graph: Any, outputs: Sequence[Any]) -> list[Any]:
    """The ops that outputs and side effects of a graph need, each after everything it depends on."""
    roots = [output.op for output in outputs]
    roots += [op for op in graph.get_operations() if op.op_def.is_stateful and op.type not in _HARMLESS]
    return [op for op in _sorted_topologically(roots) if op.type not in _SOURCES]


def _emit_body(ops: Sequence[Any], environment: dict[Any, Any], outputs: Sequence[Any], scope: Scope) -> list[Any]:
    for op in ops:
        try:
            made = _emit_op(op, [environment[value.ref()] for value in op.inputs], scope)
        except LoweringError as error:
            error.chain = (op, *error.chain)
            raise
        environment.update(zip((output.ref() for output in op.outputs), made, strict=False))
    return [environment[output.ref()] for output in outputs]


def _emit_op(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    if (values := fold(op, inputs, scope)) is not None:
        return values
    if (made := _emit_on_int32(op, inputs, scope)) is not None:
        return made
    takes_lists = any(isinstance(value, TensorList) for value in inputs)
    lower = (ON_LISTS.get(op.type) if takes_lists else None) or lowering_of(op.type)
    if lower is not None and (made := lower(op, inputs, scope)) is not None:
        return made
    if (flow := FLOWS.get(op.type)) is not None:
        return flow(op, inputs, lambda name, arguments: _emit_function(op, name, arguments, scope))
    if (reason := refusal(op, inputs, scope)) is not None:
        raise LoweringError(reason)
    return copy_op(op, inputs)


def _emit_on_int32(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    """An op of a dtype that TFLite lacks, done on int32; see `integers`."""
    dtypes = [one.dtype for one in inputs if isinstance(one, tf.Tensor)]
    narrow = next((dtype for dtype in dtypes if op.type in AS_INT32.get(dtype.name, ())), None)
    if narrow is None:
        return None
    wide = [tf.cast(one, tf.int32) if one.dtype == narrow else one for one in inputs]
    made = _emit_op(retyped(op, narrow, tf.int32), wide, scope)
    return [tf.cast(one, original.dtype) for one, original in zip(made, op.outputs, strict=True)]


def _emit_function(op: Any, name: str, inputs: Sequence[Any], scope: Scope) -> list[Any]:
    """Emit a function that an op names. It always runs, so it shares the scope; a loop's body is read only once."""
    shapes = [_shape_of(value) for value in inputs]
    key = ("function", op, name, tuple(map(str, shapes)))
    body, ops = scope.once(key, lambda: _read_function(op, name, shapes))
    environment = {placeholder.ref(): value for placeholder, value in zip(body.inputs, inputs, strict=True)}
    return _emit_body(ops, environment, body.outputs, scope)


def _read_function(op: Any, name: str, shapes: Sequence[Any]) -> tuple[Any, list[Any]]:
    body = called_graph(op, name, shapes)
    return body, _needed_ops(body, body.outputs)


def _shape_of(value: Any) -> Any:
    """The shape of an emitted value; lists and optionals are scalars to a graph."""
    return value.shape if isinstance(value, tf.Tensor) else tf.TensorShape([])


def _sorted_topologically(roots: Sequence[Any]) -> list[Any]:
    """Depth first without recursion, since a graph can be deeper than Python's stack. Keyed by name, as ops are."""
    order: list[Any] = []
    seen: set[str] = set()
    for root in roots:
        stack: list[tuple[Any, Iterator[Any]]] = []
        _visit(root, seen, stack)
        while stack:
            op, dependencies = stack[-1]
            following = next((other for other in dependencies if other.name not in seen), None)
            if following is None:
                order.append(op)
                stack.pop()
            else:
                _visit(following, seen, stack)
    return order


def _visit(op: Any, seen: set[str], stack: list[tuple[Any, Iterator[Any]]]) -> None:
    if op.name not in seen:
        seen.add(op.name)
        stack.append((op, iter([*(value.op for value in op.inputs), *op.control_inputs])))
