"""Resized images and their gradients, as one product an axis.

Every interpolation along an axis is a constant matrix R, [new size, size], with the weights of the entries that make
each new one:

    Y = R_h X R_wᵀ        dX = R_hᵀ G R_w        for every image and channel

What R is follows TensorFlow's own definition: the place of new entry i in the old axis is (i + ½)·s − ½ for half pixel
centers and i·s otherwise, with s the ratio of the sizes, or of the sizes less one where corners are aligned. Bilinear
weighs its two neighbours; nearest takes one. Bicubic weighs four, from a table: there R is what TensorFlow itself makes
of the unit vectors.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from model_export.lowering.folding import sizes_of
from model_export.lowering.linear import multiply_axis
from model_export.lowering.scope import Scope


def _ratio(op: Any, size: int, new_size: int) -> np.float32:
    if op.get_attr("align_corners") and new_size > 1:
        return np.float32(size - 1) / np.float32(new_size - 1)
    return np.float32(size) / np.float32(new_size)


def _places(op: Any, size: int, new_size: int) -> Any:
    """Where in the old axis every new entry lies, in float32 as TensorFlow computes it."""
    half = np.float32(0.5 if op.get_attr("half_pixel_centers") else 0.0)
    return (np.arange(new_size, dtype=np.float32) + half) * _ratio(op, size, new_size)


def _bilinear_matrix(op: Any, size: int, new_size: int) -> Any:
    half = np.float32(0.5 if op.get_attr("half_pixel_centers") else 0.0)
    places = _places(op, size, new_size) - half
    lower = np.floor(places)
    above = places - lower  # the weight of the neighbour above
    matrix = np.zeros([new_size, size], np.float32)
    for row, (first, weight) in enumerate(zip(lower.astype(int), above, strict=True)):
        matrix[row, np.clip(first, 0, size - 1)] += np.float32(1.0) - weight
        matrix[row, np.clip(first + 1, 0, size - 1)] += weight
    return matrix


def _nearest_matrix(op: Any, size: int, new_size: int) -> Any:
    places = _places(op, size, new_size)
    whole = np.floor(places + np.float32(0.5)) if op.get_attr("align_corners") else np.floor(places)
    return np.eye(size, dtype=np.float32)[np.clip(whole.astype(int), 0, size - 1)]


def _bicubic_matrix(op: Any, size: int, new_size: int) -> Any:
    options = {name: op.get_attr(name) for name in ("align_corners", "half_pixel_centers")}
    with tf.init_scope():
        units = tf.reshape(tf.eye(size), [1, size, 1, size])
        made = tf.raw_ops.ResizeBicubic(images=units, size=[new_size, 1], **options)
        return made.numpy().reshape(new_size, size)


def _bicubic(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    x, size = inputs
    height, width = sizes_of(size)
    x = multiply_axis(_bicubic_matrix(op, x.shape[1], height), x, 1)
    return [multiply_axis(_bicubic_matrix(op, x.shape[2], width), x, 2)]


def _bicubic_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    gradient, original = inputs
    (_, height, width, _), (_, new_height, new_width, _) = original.shape, gradient.shape
    g = multiply_axis(_bicubic_matrix(op, height, new_height).T, gradient, 1)
    return [multiply_axis(_bicubic_matrix(op, width, new_width).T, g, 2)]


def _bilinear(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    x, size = inputs
    height, width = sizes_of(size)
    x = multiply_axis(_bilinear_matrix(op, x.shape[1], height), x, 1)
    return [multiply_axis(_bilinear_matrix(op, x.shape[2], width), x, 2)]


def _bilinear_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    gradient, original = inputs
    (_, height, width, _), (_, new_height, new_width, _) = original.shape, gradient.shape
    g = multiply_axis(_bilinear_matrix(op, height, new_height).T, gradient, 1)
    return [multiply_axis(_bilinear_matrix(op, width, new_width).T, g, 2)]


def _nearest(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    x, size = inputs
    height, width = sizes_of(size)
    x = multiply_axis(_nearest_matrix(op, x.shape[1], height), x, 1)
    return [multiply_axis(_nearest_matrix(op, x.shape[2], width), x, 2)]


def _nearest_gradient(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any]:
    gradient, size = inputs
    (height, width), (_, new_height, new_width, _) = sizes_of(size), gradient.shape
    g = multiply_axis(_nearest_matrix(op, height, new_height).T, gradient, 1)
    return [multiply_axis(_nearest_matrix(op, width, new_width).T, g, 2)]


LOWERINGS = {
    "ResizeBicubic": _bicubic,
    "ResizeBicubicGrad": _bicubic_gradient,
    "ResizeBilinear": _bilinear,
    "ResizeBilinearGrad": _bilinear_gradient,
    "ResizeNearestNeighbor": _nearest,
    "ResizeNearestNeighborGrad": _nearest_gradient,
}
