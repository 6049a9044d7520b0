"""Any tensor as [before, axis, after]: what concerns one axis is done at rank three, which every runtime is fast at.

The runtimes' limits are why: tflite-runtime 2.14 reverses one axis of several, and slices and pads at most five;
XNNPACK sums at most six, and neither broadcasts more than four reliably.
"""

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

MOST_AXES = 4  # up to this rank every op may be left as it is


def along(x: Any, axis: int, change: Callable[[Any], Any]) -> Any:
    """Change one axis: `change` takes [before, size, after] and may give another size."""
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    changed = change(tf.reshape(x, [math.prod(before), x.shape[axis], math.prod(after)]))
    return tf.reshape(changed, [*before, changed.shape[1], *after])


def cut_axis(x: Any, axis: int, places: range) -> Any:
    """The entries of an axis at these places; a step of -1 reverses them."""
    if places == range(x.shape[axis]):
        return x
    backwards = places.step < 0
    upwards = places[::-1] if backwards else places
    y = along(x, axis, lambda flat: _strided(flat, upwards))
    return reverse_axis(y, axis) if backwards else y


def _strided(flat: Any, places: range) -> Any:
    before, _, after = flat.shape
    if places.step == 1 or len(places) <= 1:
        return tf.slice(flat, [0, places.start if places else 0, 0], [before, len(places), after])
    return flat[:, places.start : places[-1] + 1 : places.step]


def pad_axis(x: Any, axis: int, before: int, after: int) -> Any:
    """Zeros before and behind the entries of an axis; negative amounts cut instead."""
    x = cut_axis(x, axis, range(max(-before, 0), x.shape[axis] - max(-after, 0)))
    amounts = [[0, 0], [max(before, 0), max(after, 0)], [0, 0]]
    return along(x, axis, lambda flat: tf.pad(flat, amounts)) if any(amounts[1]) else x


def reverse_axis(x: Any, axis: int) -> Any:
    """The entries of an axis in reverse."""
    return along(x, axis, lambda flat: tf.reverse(flat, [1])) if x.shape[axis] > 1 else x


def spread_axis(x: Any, axis: int, stride: int) -> Any:
    """stride − 1 zeros behind every entry of an axis, so that its size grows by that factor.

    By reshape and pad alone: TFLite's own dilation is newer than the runtimes we support.
    """
    if stride == 1:
        return x

    def widen(flat: Any) -> Any:
        before, size, after = flat.shape
        wide = tf.pad(tf.reshape(flat, [before * size, 1, after]), [[0, 0], [0, stride - 1], [0, 0]])
        return tf.reshape(wide, [before, size * stride, after])

    return along(x, axis, widen)


def tile_axis(x: Any, axis: int, times: int) -> Any:
    """The entries of an axis, over and over."""
    return along(x, axis, lambda flat: tf.tile(flat, [1, times, 1])) if times != 1 else x
