"""Indices that are known only when the program runs: no entry is read or written that is not there.

The runtimes trust them. STRIDED_SLICE reads memory that is not the tensor's, as SLICE does on tflite-runtime 2.14.
GATHER, GATHER_ND and SCATTER_ND refuse a negative index, but multiply one that is too large into an int32, which may
overflow, and look at the product alone. So whatever reads or writes at an index does it through these three, with −1 in
place of an index that is not there: a device refuses it, as TensorFlow does on a CPU.

    x[i] = gather(x, i + [i < 0] · size)      dx = g where onehot(i), else 0

The converter cuts an int64 index to its lower 32 bits where TFLite has the op for int32 alone. So it is clamped to
±2³¹ first: what is beyond an int32 is beyond every tensor.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from model_export.lowering.axes import along
from model_export.lowering.folding import known_sizes, sizes_of
from model_export.lowering.scope import Scope

Entry = int | Any
"""An index: the number where it is known, else a scalar tensor."""


def entries_of(vector: Any) -> list[Entry]:
    """The entries of a vector of indices, each known or not."""
    if (known := known_sizes(vector)) is not None:
        return list(known)
    if vector.op.type != "Pack":
        return [tf.reshape(tf.slice(vector, [place], [1]), []) for place in range(vector.shape[0])]
    return [known[0] if (known := known_sizes(entry)) is not None else entry for entry in vector.op.inputs]


def from_the_front(index: Any, size: int) -> Any:
    """An index that may count from behind, as one from the front; one that is not there stays so."""
    return tf.where(index < 0, index + size, index)


def gather(x: Any, indices: Any, axis: int = 0, batch_dims: int = 0) -> Any:
    """`tf.gather`, which a device refuses where an index is not there."""
    indices = tf.where(indices < x.shape[axis], indices, -tf.ones([], indices.dtype))
    return tf.gather(x, indices, axis=axis, batch_dims=batch_dims)


def put_at(g: Any, axis: int, index: Any, size: int) -> Any:
    """An axis of one entry as one of `size`, with zeros at all other places."""
    is_there = tf.reshape(tf.one_hot(narrowed(index), size, True, False, dtype=tf.bool), [1, size, 1])
    return along(g, axis, lambda flat: tf.where(is_there, flat, tf.zeros([], g.dtype)))


def narrowed(indices: Any) -> Any:
    """Indices as int32, so that what is not there stays so."""
    if indices.dtype != tf.int64:
        return indices
    return tf.cast(tf.clip_by_value(indices, tf.int32.min, tf.int32.max), tf.int32)


def sums_by_segment(data: Any, segments: Any, count: int) -> Any:
    """`tf.math.unsorted_segment_sum` of rows [n, ...] by segments [n], negative ones left out, as a SCATTER_ND.

    UNSORTED_SEGMENT_SUM has an output of unknown shape, so that runtimes plan their memory while they run, which
    `model_export.scalar_variables` says the harm of.
    """
    is_counted = segments >= 0
    column = tf.reshape(is_counted, [-1, *[1] * (data.shape.rank - 1)])
    counted = tf.where(column, data, tf.zeros([], data.dtype))
    places = _places_in(tf.where(is_counted, segments, tf.zeros([], tf.int32))[:, tf.newaxis], [count])
    return tf.scatter_nd(places, counted, tf.constant([count, *data.shape[1:]], tf.int32))


def _places_in(indices: Any, sizes: Sequence[int]) -> Any:
    """Indices into the first axes of a tensor, −1 along every axis for a place that is not there."""
    limits = tf.constant(list(sizes)[: indices.shape[-1]], indices.dtype)
    is_there = tf.reduce_all((indices >= 0) & (indices < limits), -1, keepdims=True)
    return tf.where(is_there, indices, -tf.ones([], indices.dtype))


def _gather(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    x, indices, axis = inputs
    known = known_sizes(axis)
    if known is None or known_sizes(indices) is not None:
        return None
    return [gather(x, indices, known[0] % x.shape.rank, op.get_attr("batch_dims"))]


def _gather_nd(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    x, indices = inputs
    return None if known_sizes(indices) is not None else [tf.gather_nd(x, _places_in(indices, x.shape))]


def _scatter_nd(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    indices, updates, shape = inputs
    if known_sizes(indices) is not None:
        return None
    sizes = sizes_of(shape)
    return [tf.scatter_nd(_places_in(narrowed(indices), sizes), updates, tf.constant(sizes, tf.int32))]


def _scatter_into(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    x, indices, updates = inputs
    scatter = tf.tensor_scatter_nd_update if op.type == "TensorScatterUpdate" else tf.tensor_scatter_nd_add
    signed = -updates if op.type == "TensorScatterSub" else updates
    return [scatter(x, _places_in(narrowed(indices), x.shape), signed)]


def _one_hot(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    indices, *others = inputs
    if indices.dtype != tf.int64:
        return None
    return [tf.one_hot(narrowed(indices), *others, axis=op.get_attr("axis"))]


def _segments(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    data, segments, count = inputs
    if segments.dtype != tf.int64:
        return None
    return [getattr(tf.raw_ops, op.type)(data=data, segment_ids=narrowed(segments), num_segments=count)]


def _segment_sum(op: Any, inputs: Sequence[Any], scope: Scope) -> Sequence[Any] | None:
    data, segments, count = inputs
    if data.dtype == tf.int64:
        return [_sums_of_int64(data, segments, count)]
    if known_sizes(segments) is not None:
        return None
    (size,), rest = sizes_of(count), data.shape[segments.shape.rank :]
    flat = tf.reshape(narrowed(segments), [-1])
    return [sums_by_segment(tf.reshape(data, [flat.shape[0], *rest]), flat, size)]


def _sums_of_int64(data: Any, segments: Any, count: Any) -> Any:
    """Of int64, which TFLite's op lacks, by comparing every index with every segment."""
    (size,) = sizes_of(count)
    known, flat = tf.range(size), tf.reshape(narrowed(segments), [-1])
    checked = tf.where(flat < 0, flat, gather(known, tf.maximum(flat, 0)))  # a negative one counts nowhere
    is_of = tf.equal(tf.reshape(known, [size, 1, 1]), tf.reshape(checked, [1, -1, 1]))
    rows = tf.reshape(data, [1, flat.shape[0], -1])
    sums = tf.reduce_sum(tf.where(is_of, rows, tf.zeros([], data.dtype)), 1)
    return tf.reshape(sums, [size, *data.shape[segments.shape.rank :]])


_SCATTERS = "TensorScatterAdd TensorScatterSub TensorScatterUpdate"
_SEGMENTS = "UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd"

LOWERINGS = {
    **dict.fromkeys(_SCATTERS.split(), _scatter_into),
    **dict.fromkeys(_SEGMENTS.split(), _segments),
    "GatherNd": _gather_nd,
    "GatherV2": _gather,
    "OneHot": _one_hot,
    "ScatterNd": _scatter_nd,
    "UnsortedSegmentSum": _segment_sum,
}
