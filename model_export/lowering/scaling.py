"""A number times a product of matrices, as in w − η xᵀg: the number goes to the smaller factor, η (A B) = A (η B).

For a dense layer's step that is a pass over a batch in the place of one over the weights.
"""

from collections.abc import Sequence
from typing import Any

from model_export.lowering.broadcasting import elementwise
from model_export.lowering.linear import matmul
from model_export.lowering.scope import Scope


def _multiply(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    for product, factor in ((0, 1), (1, 0)):
        is_number = inputs[factor].shape.rank == 0
        if is_number and len(op.inputs[product].consumers()) == 1:
            scaled = _scaled(inputs[product], inputs[factor])
            if scaled is not None:
                return [scaled]
    return elementwise(op, inputs, scope)


def _scaled(product: Any, factor: Any) -> Any:
    """A product that `linear.matmul` made, times a number; None for anything else, or where nothing is saved."""
    stacked = _maker(product, "Reshape", "BatchMatMulV2")
    operands = [] if stacked is None else [_maker(value, "Reshape") for value in stacked.inputs]
    if not operands or None in operands:
        return None
    a, b = (operand.inputs[0] for operand in operands)
    if min(_size(a), _size(b)) >= _size(product):
        return None
    a, b = (a * factor, b) if _size(a) < _size(b) else (a, b * factor)
    return matmul(a, b, transpose_a=stacked.get_attr("adj_x"), transpose_b=stacked.get_attr("adj_y"))


def _maker(value: Any, *types: str) -> Any:
    """The op at the end of a chain of ops of these types, each of whose first input the next one makes; or None."""
    op = None
    for type_ in types:
        op = value.op
        if op.type != type_:
            return None
        value = op.inputs[0]
    return op


def _size(value: Any) -> int:
    return int(value.shape.num_elements())


LOWERINGS = {"Mul": _multiply}
