"""Matrix products, all of them as BATCH_MATMUL of rank three.

TensorFlow 2.21's converter takes a product of two matrices through FULLY_CONNECTED, which goes wrong twice. With a
transposed right side it stays FULLY_CONNECTED, which no runtime speeds up while the weights are variables (8.9 ms
against 2.3 ms for [3920,64] x [64,800] on LiteRT). And a ReLU that directly follows is fused into it, then lost when it
becomes BATCH_MATMUL after all. A product of rank three never becomes FULLY_CONNECTED. Of integers the runtimes have no
product, so it is what it says: Σ_k a_ik b_kj.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from model_export.errors import LoweringError
from model_export.lowering.axes import along
from model_export.lowering.scope import Scope


def matmul(a: Any, b: Any, *, transpose_a: bool = False, transpose_b: bool = False) -> Any:
    """The product of two matrices, in the form that every runtime is fast at.

    A runtime rearranges the right side before it multiplies, so a small left side changes places with a transposed
    right one: A Bᵀ = (B Aᵀ)ᵀ.
    """
    if transpose_b and not transpose_a and a.shape[0] < min(b.shape):
        return tf.transpose(matmul(b, tf.transpose(a)))
    stacked_a, stacked_b = tf.reshape(a, [1, *a.shape]), tf.reshape(b, [1, *b.shape])
    product = stacked_matmul(stacked_a, stacked_b, transpose_a=transpose_a, transpose_b=transpose_b)
    return tf.reshape(product, product.shape[1:])


def stacked_matmul(a: Any, b: Any, *, transpose_a: bool = False, transpose_b: bool = False) -> Any:
    """The products of two stacks of matrices [stack,m,n]; a stack of one needs no reshape between products."""
    if a.dtype.is_integer:
        a = tf.linalg.matrix_transpose(a) if transpose_a else a
        return _integer_products(a, tf.linalg.matrix_transpose(b) if transpose_b else b)
    return tf.raw_ops.BatchMatMulV2(x=a, y=b, adj_x=transpose_a, adj_y=transpose_b)


def _integer_products(a: Any, b: Any) -> Any:
    if a.shape[:-2] != b.shape[:-2]:
        raise LoweringError(f"multiplies integers {a.shape} and {b.shape}, which are no equal stacks; cast to float32")
    rows, depth, columns = a.shape[-2], a.shape[-1], b.shape[-1]
    products = tf.reshape(a, [-1, rows, depth, 1]) * tf.reshape(b, [-1, 1, depth, columns])
    return tf.reshape(tf.reduce_sum(products, 2), [*a.shape[:-2], rows, columns])


def multiply_axis(matrix: Any, x: Any, axis: int) -> Any:
    """The product of a constant matrix [new size, size] with every vector along an axis."""

    def product(flat: Any) -> Any:
        before, size, after = flat.shape
        rows = tf.reshape(tf.transpose(flat, [0, 2, 1]), [before * after, size])
        made = tf.reshape(matmul(rows, tf.constant(matrix), transpose_b=True), [before, after, len(matrix)])
        return tf.transpose(made, [0, 2, 1])

    return along(x, axis, product)


def _matmul(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    a, b = inputs
    return [matmul(a, b, transpose_a=op.get_attr("transpose_a"), transpose_b=op.get_attr("transpose_b"))]


def _batch_matmul(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    a, b = inputs
    transposed = {"transpose_a": op.get_attr("adj_x"), "transpose_b": op.get_attr("adj_y")}
    if all(len(value.shape) == 2 for value in inputs):  # noqa: PLR2004 - a stack of matrices stays one
        return [matmul(a, b, **transposed)]
    return [stacked_matmul(a, b, **transposed)]


LOWERINGS = {"BatchMatMulV2": _batch_matmul, "MatMul": _matmul}
