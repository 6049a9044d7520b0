"""Convolution without strides, with fewer multiplications: neighbouring outputs from one set of products.

Along a line, two outputs of a filter w of r taps take r + 1 inputs d and, instead of 2r multiplications, r + 1 of them:
y = Aᵀ [(G w) ⊙ (Bᵀ d)]. For r = 3 and r = 2

         ⎡1  0 −1  0⎤        ⎡1  0  0⎤         ⎡1  0⎤              ⎡1 −1  0⎤        ⎡1  0⎤        ⎡1  0⎤
    Bᵀ = ⎢0  1  1  0⎥    G = ⎢½  ½  ½⎥     A = ⎢1  1⎥         Bᵀ = ⎢0  1  0⎥    G = ⎢1  1⎥    A = ⎢1  1⎥
         ⎢0 −1  1  0⎥        ⎢½ −½  ½⎥         ⎢1 −1⎥              ⎣0 −1  1⎦        ⎣0  1⎦        ⎣0  1⎦
         ⎣0 −1  0  1⎦        ⎣0  0  1⎦         ⎣0  1⎦

and longer filters are sums of these: five taps are three and two. For images both axes are transformed, so that four
outputs make a tile. Each entry of a matrix stands for a whole tensor: with D_j what a tile's input j is in all tiles
and all channels, W_i the filter's tap i as a matrix of channels, and the index k for a product of rows and columns,

    V_k = Σ_j B_jk D_j        U_k = Σ_i G_ki W_i        M_k = V_k U_k            Y_m = Σ_k A_km M_k
    dM_k = Σ_m A_km dY_m      dU_k = V_kᵀ dM_k          dW_i = Σ_k G_ki dU_k
                              dV_k = dM_k U_kᵀ          dD_j = Σ_k B_jk dV_k, added up where the D_j overlap

so V is built once for Y and dW, and dM once for dW and dX. A and B hold 1, 0 and −1 only, which keeps the result near
the rounding of a plain sum. Sources: Winograd, "Arithmetic Complexity of Computations" (1980), and Lavin and Gray,
"Fast Algorithms for Convolutional Neural Networks" (2016), whose F(2×2, 3×3) this is; docs/decisions/0013.
"""

import functools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from model_export.lowering.linear import matmul, stacked_matmul
from model_export.lowering.scope import Scope
from model_export.lowering.windows import Axes, Axis, cut, put_back_taps, take_taps
from wire.tensors import Array

# Below this many taps x channels, building V costs more than the multiplications that it saves.
_FEWEST_TAPS = 65


@dataclass(frozen=True)
class Scheme:
    """The matrices of the module's description for one axis: a filter of r taps, p products and m outputs of a tile."""

    inputs: Array  # Bᵀ [p, r + m - 1]
    filter: Array  # G [p, r]
    outputs: Array  # A [p, m]


def _scheme_of(inputs: Sequence[Any], filters: Sequence[Any], outputs: Sequence[Any]) -> Scheme:
    return Scheme(*(np.array(matrix, np.float32) for matrix in (inputs, filters, outputs)))


_ONE_TAP = _scheme_of([[1]], [[1]], [[1]])
_TWO_TAPS = _scheme_of([[1, -1, 0], [0, 1, 0], [0, -1, 1]], [[1, 0], [1, 1], [0, 1]], [[1, 0], [1, 1], [0, 1]])
_THREE_TAPS = _scheme_of(
    [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]],
    [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]],
    [[1, 0], [1, 1], [1, -1], [0, 1]],
)


@functools.cache
def scheme(taps: int) -> Scheme:
    """The sum of schemes of three and two taps, each at its place."""
    if taps == 1:
        return _ONE_TAP
    twos = -taps % 3
    pieces = [_TWO_TAPS] * twos + [_THREE_TAPS] * ((taps - 2 * twos) // 3)
    products = sum(len(piece.filter) for piece in pieces)
    inputs, filters = np.zeros([products, taps + 1], np.float32), np.zeros([products, taps], np.float32)
    row = column = 0
    for piece in pieces:
        height, width = piece.filter.shape
        inputs[row : row + height, column : column + width + 1] = piece.inputs
        filters[row : row + height, column : column + width] = piece.filter
        row, column = row + height, column + width
    return Scheme(inputs, filters, np.concatenate([piece.outputs for piece in pieces]))


def suits(axes: Axes, channels: int) -> bool:
    """Whether a convolution can be computed so, and gains by it."""
    rows, columns = axes
    is_plain = all(axis.stride == 1 and axis.dilation == 1 for axis in axes)
    taps = rows.taps * columns.taps
    return is_plain and taps > 1 and taps * channels >= _FEWEST_TAPS


def convolve(x: Any, kernel: Any, axes: Axes, scope: Scope) -> Any:
    """Y, the convolution of images [b,h,w,c] with a kernel [rows,columns,c,out]."""
    products = map(stacked_matmul, _input_terms(x, axes, scope), _filter_terms(kernel, axes))
    return _leave(products, axes, _tile_of_outputs, lambda one: one.outputs, x.shape[0])


def filter_gradient(x: Any, gradient: Any, axes: Axes, scope: Scope) -> Any:
    """dW, the gradient of the kernel that was convolved with the images x."""
    terms = zip(_input_terms(x, axes, scope), _output_terms(gradient, axes, scope), strict=True)
    products = tf.concat([stacked_matmul(v, dm, transpose_a=True) for v, dm in terms], 0)
    by_taps = matmul(tf.constant(_to_products(axes).T), tf.reshape(products, [products.shape[0], -1]))
    return tf.reshape(by_taps, [axes[0].taps, axes[1].taps, x.shape[3], gradient.shape[3]])


def input_gradient(gradient: Any, kernel: Any, axes: Axes, scope: Scope) -> Any:
    """dX, the gradient of the images that were convolved with the kernel."""
    # U_kᵀ is built from a transposed kernel: tflite-runtime is slow at products with a transposed right side.
    transposed = tf.transpose(kernel, [0, 1, 3, 2])
    products = map(stacked_matmul, _output_terms(gradient, axes, scope), _filter_terms(transposed, axes))
    return _leave(products, axes, _tile_of_inputs, lambda one: one.inputs, gradient.shape[0])


def _tile_of_inputs(axis: Axis) -> Axis:
    """The window of a tile's inputs. The last tile may look beyond the padded axis, for an output too many."""
    of_outputs = _tile_of_outputs(axis)
    taps = axis.taps + of_outputs.taps - 1
    padded = of_outputs.padded + axis.taps - 1
    return Axis(axis.size, taps, of_outputs.stride, before=axis.before, after=padded - axis.size - axis.before)


def _tile_of_outputs(axis: Axis) -> Axis:
    """The window of a tile's outputs."""
    outputs = scheme(axis.taps).outputs.shape[1]
    return Axis(axis.places, outputs, outputs, after=-axis.places % outputs)


def _input_terms(x: Any, axes: Axes, scope: Scope) -> list[Any]:
    """V, each [1, batch*tiles, channels]."""
    key = ("input terms", x.ref(), axes)
    terms: list[Any] = scope.once(key, lambda: _enter(x, axes, _tile_of_inputs, lambda one: one.inputs))
    return terms


def _output_terms(gradient: Any, axes: Axes, scope: Scope) -> list[Any]:
    """dM, each [1, batch*tiles, out]."""
    key = ("output terms", gradient.ref(), axes)
    terms: list[Any] = scope.once(key, lambda: _enter(gradient, axes, _tile_of_outputs, lambda one: one.outputs))
    return terms


def _filter_terms(kernel: Any, axes: Axes) -> list[Any]:
    """U, each [1, p, q], of a kernel [rows, columns, p, q]."""
    taps_y, taps_x, *matrix = kernel.shape
    to_products = _to_products(axes)
    terms = matmul(tf.constant(to_products), tf.reshape(kernel, [taps_y * taps_x, -1]))
    stacked = tf.reshape(terms, [len(to_products), *matrix])
    return [cut(stacked, [k, 0, 0], [1, *matrix]) for k in range(len(to_products))]


def _to_products(axes: Axes) -> Array:
    """G for both axes [products, taps], in row-major order."""
    rows, columns = (scheme(axis.taps).filter for axis in axes)
    return np.kron(rows, columns)


_Window = Callable[[Axis], Axis]
_Matrix = Callable[[Scheme], Array]


def _enter(image: Any, axes: Axes, window: _Window, matrix: _Matrix) -> list[Any]:
    """The sums by a matrix [products, taps] of what the tiles' taps look at; rows first, as images are stored."""
    rows, columns = axes
    lines = _sums(take_taps(image, window(rows), 1), matrix(scheme(rows.taps)))
    terms = [_sums(take_taps(line, window(columns), 2), matrix(scheme(columns.taps))) for line in lines]
    return [tf.reshape(term, [1, -1, image.shape[3]]) for line in terms for term in line]


def _leave(terms: Any, axes: Axes, window: _Window, matrix: _Matrix, batch: int) -> Any:
    """The image of terms: the transpose of `_enter`."""
    (rows, columns), (tiles_y, tiles_x) = axes, (window(axis).places for axis in axes)
    images = [tf.reshape(term, [batch, tiles_y, tiles_x, term.shape[2]]) for term in terms]
    by_row, by_column = (matrix(scheme(axis.taps)).T for axis in axes)
    width = by_column.shape[1]
    lines = [_sums(images[first : first + width], by_column) for first in range(0, len(images), width)]
    put_back = [put_back_taps(line, window(columns), 2) for line in lines]
    return put_back_taps(_sums(put_back, by_row), window(rows), 1)


def _sums(terms: Sequence[Any], weights: Array) -> list[Any]:
    """For each row of weights, 1, 0 and −1 with one 1 at least, the sum of the terms."""
    return [_sum(terms, row) for row in weights]


def _sum(terms: Sequence[Any], weights: Array) -> Any:
    added, taken = ([term for w, term in zip(weights, terms, strict=True) if w == sign] for sign in (1, -1))
    return functools.reduce(operator.sub, taken, functools.reduce(operator.add, added))
