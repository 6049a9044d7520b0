"""Gives every variable that a signature reads a shape of rank one, so that all memory is planned before anything runs.

Where READ_VARIABLE gives a tensor of rank 0, the runtimes cannot tell it from one of unknown shape. They plan the ops
behind it when it has run, in the first call of a signature, and move what they have planned to larger memory. XNNPACK
does not bear that: a RESHAPE of its, set up meanwhile, may find its output at the address where its input was before.
It takes the two for one tensor, copies nothing, and never again will. From the second call on, what stands in that
memory are other tensors' numbers, or, where the system gave other addresses, the right ones; seen with LiteRT 2.3.
Sources: `Prepare` in TensorFlow's `lite/kernels/read_variable.cc`, and where the runtime took and gave back memory.

In the finished file

    READ_VARIABLE → []                         becomes   READ_VARIABLE → [1],  RESHAPE → []
    ASSIGN_VARIABLE of a tensor of rank 0      becomes   RESHAPE → [1],  ASSIGN_VARIABLE
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from model_export import flatbuffer

_VALUE = 1  # the place of an ASSIGN_VARIABLE's value among its inputs


def find_reads(model: Any) -> Iterator[tuple[Any, Any]]:
    """(operator, its subgraph) of every READ_VARIABLE of rank 0 in a file, as `flatbuffer.read` gives it."""
    for name, operator, graph in flatbuffer.ops(model):
        if name == "READ_VARIABLE" and _is_scalar(graph, flatbuffer.outputs(operator)[0]):
            yield operator, graph


def give_rank(model: Any) -> bool:
    """Give the variables of rank 0 of a file, as `flatbuffer.read` gives it, the shape [1]; whether one is read."""
    if next(find_reads(model), None) is None:
        return False
    names = flatbuffer.op_names(model)
    for graph in model.subgraphs:
        graph.operators = [
            one
            for operator in graph.operators
            for one in _with_rank(model, graph, operator, names[operator.opcodeIndex])
        ]
    return True


def _with_rank(model: Any, graph: Any, operator: Any, name: str) -> list[Any]:
    """The ops that do what this one does."""
    if name == "READ_VARIABLE" and _is_scalar(graph, scalar := flatbuffer.outputs(operator)[0]):
        read = flatbuffer.add_tensor(graph, graph.tensors[scalar].type, (1,), b"read")
        operator.outputs = np.array([read], np.int32)
        return [operator, flatbuffer.add_reshape(model, graph, read, scalar)]
    if name == "ASSIGN_VARIABLE" and _is_scalar(graph, scalar := flatbuffer.inputs(operator)[_VALUE]):
        assigned = flatbuffer.add_tensor(graph, graph.tensors[scalar].type, (1,), b"assigned")
        operator.inputs = np.array([operator.inputs[0], assigned], np.int32)
        return [flatbuffer.add_reshape(model, graph, scalar, assigned), operator]
    return [operator]


def _is_scalar(graph: Any, tensor: int) -> bool:
    return not flatbuffer.shape(graph.tensors[tensor])
