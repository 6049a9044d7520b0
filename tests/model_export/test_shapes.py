"""Slices, margins, repetitions, reductions, resized images and einsums of every rank, and their gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.model_export.conformance import Case, Family, check, of_layer

pytestmark = pytest.mark.tensorflow

MATRIX, CUBE, IMAGE, FIVE, SEVEN = (3, 4), (3, 4, 5), (2, 5, 6, 3), (2, 3, 4, 3, 2), (2, 1, 3, 2, 1, 2, 2)

SLICES = {
    "rows": lambda x: x[1:],
    "one_row": lambda x: x[1],
    "last": lambda x: x[..., -1],
    "strided": lambda x: x[::2, 1::3],
    "strided_from_one": lambda x: x[1::2, :, ::2],
    "backwards": lambda x: x[::-1],
    "backwards_strided": lambda x: x[:, ::-2, -1:0:-3],
    "new_axes": lambda x: x[tf.newaxis, :, tf.newaxis, 1, ..., 2:],
    "negative_bounds": lambda x: x[-2:, -3:-1, -100:100],
    "nothing": lambda x: tf.reduce_sum(x[1:1]) + tf.reduce_sum(x),
    "slice": lambda x: tf.slice(x, [0, 1, 2], [2, -1, 2]),
    "split": lambda x: tf.split(x, 2, 1)[1] * tf.split(x, [1, 3], 1)[0],
    "unstacked": lambda x: tf.unstack(x, axis=1)[2] * tf.unstack(x, axis=1)[0],
    "stacked": lambda x: tf.stack([x, x * x], 2),
    "reversed": lambda x: tf.reverse(x, [0, 2]) * x,
    "rolled": lambda x: tf.roll(x, [1, -2], [0, 1]),
    "padded": lambda x: tf.pad(x, [[1, 0], [0, 2], [1, 1]], constant_values=3.0),
    "reflected": lambda x: tf.pad(x, [[1, 2], [0, 3], [2, 1]], "REFLECT"),
    "symmetric": lambda x: tf.pad(x, [[1, 3], [0, 2], [2, 1]], "SYMMETRIC"),
    "tiled": lambda x: tf.tile(x, [2, 1, 3]),
    "repeated": lambda x: tf.repeat(x, 3, 1),
    "gathered": lambda x: tf.gather(x, [2, 0, 2, 2], axis=1),
    "gathered_nd": lambda x: tf.gather_nd(x, [[0, 1], [2, 3], [0, 1]]),
    "cumsum": lambda x: tf.cumsum(x, 1),
    "cumsum_exclusive": lambda x: tf.cumsum(x, 2, exclusive=True, reverse=True),
    "cumprod": lambda x: tf.math.cumprod(x, 1),
    "cumprod_reverse": lambda x: tf.math.cumprod(x, 0, exclusive=True, reverse=True),
    "product": lambda x: tf.reduce_prod(x, 1),
    "maximum": lambda x: tf.reduce_max(x, [0, 2]),
    "minimum": lambda x: tf.reduce_min(x, 1, keepdims=True),
    "mean": lambda x: tf.reduce_mean(x, [1, 2]),
    "deviation": lambda x: tf.math.reduce_std(x, 1),
    "norm": lambda x: tf.norm(x, axis=1),
    "normalized": lambda x: tf.math.l2_normalize(x, 1),
    "transposed": lambda x: tf.transpose(x, [2, 0, 1]) * 2.0,
    "top": lambda x: tf.math.top_k(x, 2).values,
    "sorted": lambda x: tf.sort(x, 1),
}
HIGH_RANKS = {
    "product_of_five": lambda x: x * x[:, :1, :, :1],
    "sum_of_five": lambda x: x + x[:1, :, :, 0:1, :1] * tf.reduce_sum(x, [1, 3], keepdims=True),
    "scaled_five": lambda x: x * tf.range(2.0),
    "divided_five": lambda x: x / (1.0 + tf.reduce_max(tf.abs(x), [2, 4], keepdims=True)),
    "alternating_five": lambda x: x * x[:1, :, :1, :, :1] - x[:, :1, :, :1, :],
    "sliced_five": lambda x: x[:, 1:, ::-1, ::2, 0],
    "padded_five": lambda x: tf.pad(x, [[0, 0], [1, 0], [0, 1], [2, 2], [0, 0]]),
    "tiled_five": lambda x: tf.tile(x, [1, 2, 1, 2, 1]),
    "transposed_five": lambda x: tf.transpose(x, [4, 0, 3, 1, 2]) * 2.0,
    "mean_of_five": lambda x: tf.reduce_mean(x, [0, 2, 4]),
    "broadcast_five": lambda x: tf.broadcast_to(x[:, :1], [2, 3, 4, 3, 2]),
    "where_five": lambda x: tf.where(x > 0.3, x, x[:1] * 0.5),
}
IMAGES = {
    "bilinear": lambda x: tf.image.resize(x, [9, 4]),
    "bilinear_twice": lambda x: tf.image.resize(x, [10, 12]),
    "bilinear_corners": lambda x: tf.compat.v1.image.resize_bilinear(x, [7, 9], align_corners=True),
    "bilinear_old": lambda x: tf.compat.v1.image.resize_bilinear(x, [7, 3]),
    "bicubic": lambda x: tf.image.resize(x, [9, 4], "bicubic"),
    "bicubic_corners": lambda x: tf.compat.v1.image.resize_bicubic(x, [7, 9], align_corners=True),
    "bicubic_old": lambda x: tf.compat.v1.image.resize_bicubic(x, [7, 3]),
    "nearest": lambda x: tf.image.resize(x, [9, 4], "nearest"),
    "nearest_corners": lambda x: tf.compat.v1.image.resize_nearest_neighbor(x, [7, 9], align_corners=True),
    "nearest_old": lambda x: tf.compat.v1.image.resize_nearest_neighbor(x, [7, 3]),
    "depth_to_space": lambda x: tf.nn.depth_to_space(tf.concat([x, x, x, x], -1), 2),
    "flipped": lambda x: tf.image.flip_left_right(x) * x,
}
EINSUMS = {
    "attention": ("bthd,bshd->bhts", ((2, 3, 2, 4), (2, 5, 2, 4))),
    "attended": ("bhts,bshd->bthd", ((2, 2, 3, 5), (2, 5, 2, 4))),
    "dense": ("abc,cd->abd", ((2, 3, 4), (4, 5))),
    "heads": ("abc,cde->abde", ((2, 3, 4), (4, 2, 5))),
    "merged": ("abcd,cde->abe", ((2, 3, 4, 2), (4, 2, 5))),
    "ellipsis": ("...x,xy->...y", ((2, 3, 4), (4, 5))),
    "outer": ("a,b->ab", ((3,), (4,))),
    "summed_alone": ("abc,bd->ad", ((2, 3, 4), (3, 5))),
    "scalar": ("ab,ab->", ((3, 4), (3, 4))),
    "elementwise": ("ab,ab->ab", ((3, 4), (3, 4))),
    "transposed": ("abc->cab", ((2, 3, 4),)),
    "row_sums": ("abc->b", ((2, 3, 4),)),
    "matrix": ("ij,jk->ki", ((2, 3), (3, 4))),
}


def _einsum(equation: str, shapes: tuple[tuple[int, ...], ...]) -> Case:
    return Case(f"einsum_{equation}", lambda *operands: tf.einsum(equation, *operands), shapes)


CASES = [
    *(Case(name, function, (CUBE,)) for name, function in SLICES.items()),
    *(Case(name, function, (FIVE,)) for name, function in HIGH_RANKS.items()),
    Case("sum_of_seven", lambda x: tf.reduce_sum(x, [0, 2, 5]), (SEVEN,)),
    Case("tiled_seven", lambda x: tf.tile(x, [1, 3, 1, 1, 2, 1, 1]), (SEVEN,)),
    *(Case(name, function, (IMAGE,)) for name, function in IMAGES.items()),
    *(_einsum(equation, shapes) for equation, shapes in EINSUMS.values()),
    of_layer("up_sampling_1d", layers.UpSampling1D(3), CUBE),
    of_layer("up_sampling_2d", layers.UpSampling2D((2, 3)), IMAGE),
    of_layer("up_sampling_2d_bilinear", layers.UpSampling2D(2, interpolation="bilinear"), IMAGE),
    of_layer("up_sampling_3d", layers.UpSampling3D(2), FIVE),
    of_layer("zero_padding_1d", layers.ZeroPadding1D(2), CUBE),
    of_layer("zero_padding_2d", layers.ZeroPadding2D(((1, 2), (0, 3))), IMAGE),
    of_layer("zero_padding_3d", layers.ZeroPadding3D(1), FIVE),
    of_layer("cropping_1d", layers.Cropping1D(1), CUBE),
    of_layer("cropping_2d", layers.Cropping2D(((1, 0), (2, 1))), IMAGE),
    of_layer("cropping_3d", layers.Cropping3D(((0, 1), (1, 1), (1, 0))), FIVE),
    of_layer("repeat_vector", layers.RepeatVector(3), MATRIX),
    of_layer("permute", layers.Permute((2, 1)), CUBE),
    of_layer("einsum_dense", layers.EinsumDense("abc,cd->abd", (3, 6), bias_axes="d"), (2, 3, 5)),
    Case("take_along_axis", lambda x: keras.ops.take_along_axis(x, np.argsort(np.ones(CUBE), 1), 1), (CUBE,)),
]


@pytest.fixture(scope="module")
def family() -> Family:
    return Family(CASES)


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_a_function_of_shapes_and_its_gradient_are_those_of_tensorflow(family: Family, name: str) -> None:
    check(family, name)
