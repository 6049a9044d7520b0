"""Takes the axis of size one from products of matrices, which then need no RESHAPE before and after.

`lowering.linear` makes products of rank three, because the converter would take those of rank two through
FULLY_CONNECTED. The runtimes multiply matrices of either rank; but between a variable and its product a RESHAPE is a
copy of the weights, and so is one between the product and the gradient that it is. In the finished file

    RESHAPE [m,k] → [1,m,k],  RESHAPE [k,n] → [1,k,n],  BATCH_MATMUL → [1,m,n],  RESHAPE → [m,n]

become one BATCH_MATMUL, wherever nothing else reads the product.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from model_export import flatbuffer

_MATRIX_RANK = 2


def flatten(model: Any) -> bool:
    """Take the axes of size one from the products of a file, as `flatbuffer.read` gives it; whether there were any."""
    names = flatbuffer.op_names(model)
    changes = [_Flattening(graph, names).apply() for graph in model.subgraphs or ()]
    return any(changes)


class _Flattening:
    """The products of one subgraph."""

    def __init__(self, graph: Any, names: list[str]) -> None:
        self._graph, self._names = graph, names
        self._outputs = {int(tensor) for tensor in graph.outputs}
        self._readers: dict[int, list[Any]] = defaultdict(list)
        for operator in graph.operators or ():
            for tensor in flatbuffer.inputs(operator):
                self._readers[tensor].append(operator)

    def apply(self) -> bool:
        """Whether there was one to change; now there is none."""
        matrices = dict(self._stacked())
        instead: dict[int, int] = {}  # {a matrix made of a product: the product, a matrix itself by now}
        for operator in self._of("BATCH_MATMUL"):
            product = flatbuffer.outputs(operator)[0]
            operands = [matrices.get(tensor) for tensor in flatbuffer.inputs(operator)]
            flat = self._flat_forms(product)
            # XNNPACK does not bear one variable as both operands, so a matrix times itself stays as it is.
            if not flat or None in operands or operands[0] == operands[1]:
                continue
            operator.inputs = np.array(operands, np.int32)
            self._graph.tensors[product].shape = np.array(self._shape(flat[0]), np.int32)
            instead |= dict.fromkeys(flat, product)
        for operator in self._graph.operators or ():
            if operator.inputs is not None:
                operator.inputs = np.array([instead.get(int(one), int(one)) for one in operator.inputs], np.int32)
        self._drop_unread()
        return bool(instead)

    def _of(self, name: str) -> Iterator[Any]:
        return (one for one in self._graph.operators or () if self._names[one.opcodeIndex] == name)

    def _stacked(self) -> Iterator[tuple[int, int]]:
        """(stack of one, its matrix) for each that a RESHAPE makes."""
        for operator in self._of("RESHAPE"):
            matrix, stack = flatbuffer.inputs(operator)[0], flatbuffer.outputs(operator)[0]
            if self._is_stack_of_one(stack, matrix):
                yield stack, matrix

    def _flat_forms(self, product: int) -> list[int]:
        """The matrices that RESHAPEs make of a product; none where anything else reads it, or one of them leaves."""
        readers = self._readers[product]
        flat = [flatbuffer.outputs(one)[0] for one in readers if self._names[one.opcodeIndex] == "RESHAPE"]
        is_free = len(flat) == len(readers) and self._outputs.isdisjoint({product, *flat})
        return flat if is_free and all(self._is_stack_of_one(product, one) for one in flat) else []

    def _is_stack_of_one(self, stack: int, matrix: int) -> bool:
        sizes = self._shape(matrix)
        return len(sizes) == _MATRIX_RANK and self._shape(stack) == (1, *sizes)

    def _shape(self, tensor: int) -> tuple[int, ...]:
        return flatbuffer.shape(self._graph.tensors[tensor])

    def _drop_unread(self) -> None:
        read = {tensor for one in self._graph.operators or () for tensor in flatbuffer.inputs(one)} | self._outputs
        unread = [one for one in self._of("RESHAPE") if read.isdisjoint(flatbuffer.outputs(one))]
        for operator in unread:
            self._graph.operators.remove(operator)
