"""Builds a traced function anew, op by op: lowered where the registry has a lowering, copied where not.

Rules found the hard way: creation order is not topological once gradients were added, so the ops are sorted; what an op
does to a variable counts, so stateful ops are kept whether or not an output needs them; static shapes of the traced
graph are carried over.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from model_export.errors import LoweringError
from model_export.lowering.graphs import called_graph, copy_op
from model_export.lowering.registry import lowering_of
from model_export.lowering.scope import Scope

CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
SOURCES = frozenset({"Placeholder"})
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
        LoweringError: a lowering does not cover its op.
    """
    return _emit_body(graph, dict(environment), outputs, Scope())


def needed_ops(graph: Any, outputs: Sequence[Any]) -> list[Any]:
    """The ops that outputs and side effects of a graph need, each after everything it depends on."""
    roots = [output.op for output in outputs]
    roots += [op for op in graph.get_operations() if op.op_def.is_stateful and op.type not in _HARMLESS]
    return _sorted_topologically(roots)


def _emit_body(graph: Any, environment: dict[Any, Any], outputs: Sequence[Any], scope: Scope) -> list[Any]:
    for op in needed_ops(graph, outputs):
        if op.type in SOURCES:
            continue
        try:
            made = _emit_op(op, [environment[value.ref()] for value in op.inputs], scope)
        except LoweringError as error:
            error.chain = (op, *error.chain)
            raise
        environment.update(zip((output.ref() for output in op.outputs), made, strict=False))
    return [environment[output.ref()] for output in outputs]


def _emit_op(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    lower = lowering_of(op.type)
    if lower is not None:
        return lower(op, inputs, scope)
    if op.type in CALLS:
        body = called_graph(op)
        environment = {placeholder.ref(): value for placeholder, value in zip(body.inputs, inputs, strict=True)}
        return _emit_body(body, environment, body.outputs, scope)
    return copy_op(op, inputs)


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
