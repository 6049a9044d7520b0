"""Keeps an op from taking one variable as both of its operands, which ends the process under XNNPACK.

People write x · x, and the converter makes such ops of its own: of x − (−x), of a test for finite numbers. So it is in
the finished file that the second operand becomes a RESHAPE of the first.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from model_export import flatbuffer

_TWO_OPERANDS = frozenset({"ADD", "DIV", "MAXIMUM", "MINIMUM", "MUL", "SQUARED_DIFFERENCE", "SUB"})


def find(model: Any) -> Iterator[tuple[str, Any, Any]]:
    """(name, operator, its subgraph) of every such op of a file, as `flatbuffer.read` gives it."""
    variables = set()
    for name, operator, graph in flatbuffer.ops(model):
        if name == "READ_VARIABLE":
            variables.add((id(graph), int(operator.outputs[0])))
        given = [(id(graph), int(index)) for index in operator.inputs]
        if name in _TWO_OPERANDS and given[0] == given[1] and given[0] in variables:
            yield name, operator, graph


def separate(model: Any) -> bool:
    """Give such ops of a file, as `flatbuffer.read` gives it, operands of their own; whether there are any."""
    found = list(find(model))
    for _, operator, graph in found:
        copy = flatbuffer.add_copy(model, graph, int(operator.inputs[0]))
        place = next(index for index, one in enumerate(graph.operators) if one is operator)
        graph.operators.insert(place, copy)
        operator.inputs = np.array([operator.inputs[0], copy.outputs[0]], np.int32)
    return bool(found)
