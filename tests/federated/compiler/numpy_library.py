"""A library of NumPy functions for the compiler: small and real, so that its passes are tested without TensorFlow."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from federated.compiler.inlining import flat, unflat
from federated.compiler.library import Stages
from federated.language.errors import CompilationError
from federated.language.local_body import LocalBody
from federated.language.types import TensorType
from wire.tensors import Array


@dataclass(frozen=True, eq=False)
class NumpyKernel:
    """A function of flat arrays. What it gives for ones tells the types."""

    name: str
    function: Callable[[Sequence[Array]], Sequence[Array]]

    def emit(self, flat: Sequence[Any]) -> list[Any]:
        return [np.asarray(output) for output in self.function(flat)]

    def output_types(self, inputs: Sequence[TensorType]) -> list[TensorType]:
        ones = [np.ones([size or 1 for size in type_.shape or ()], type_.dtype) for type_ in inputs]
        return [TensorType(output.dtype, output.shape) for output in self.emit(ones)]


class NumpyLibrary:
    """See `federated.compiler.library.Library`."""

    def kernel(self, body: LocalBody) -> NumpyKernel:
        type_ = body.type

        def function(arrays: Sequence[Array]) -> Sequence[Array]:
            argument = None if type_.parameter is None else unflat(type_.parameter, iter(arrays))
            return list(flat(type_.result, body.run(argument)))

        return NumpyKernel(body.name, function)

    def stages(self, body: LocalBody, arguments: Sequence[TensorType | Sequence[TensorType]]) -> Stages:
        raise CompilationError(f"{body.name} does something with a sequence")

    def arithmetic(self, name: str) -> NumpyKernel:
        return NumpyKernel(name, _ARITHMETIC[name])


def _add_float(flat: Sequence[Array]) -> list[Array]:
    total, error, x = flat
    new = np.asarray(total + x, total.dtype)
    b = new - total
    return [new, np.asarray(error + ((total - (new - b)) + (x - b)), total.dtype)]


def _settle_integer(flat: Sequence[Array]) -> list[Array]:
    (total,) = flat
    if not -(2**31) <= int(total) < 2**31:
        raise OverflowError(total)
    return [np.asarray(total, np.int32)]


def _weigh(flat: Sequence[Array]) -> list[Array]:
    weight, *values = flat
    return [np.asarray(np.where(weight == 0, 0, value * weight.astype(value.dtype)), value.dtype) for value in values]


def _divide(flat: Sequence[Array]) -> list[Array]:
    total, *sums = flat
    with np.errstate(invalid="ignore", divide="ignore"):
        return [np.asarray(value / total.astype(value.dtype), value.dtype) for value in sums]


def _choose(flat: Sequence[Array]) -> list[Array]:
    which, *values = flat
    half = len(values) // 2
    return [np.where(which > 0, one, other) for one, other in zip(values[:half], values[half:], strict=True)]


_ARITHMETIC = {
    "add_float": _add_float,
    "add_integer": lambda flat: [np.asarray(flat[0] + flat[1].astype(np.int64), np.int64)],
    "settle_float32": lambda flat: [np.asarray(flat[0] + flat[1], np.float32)],
    "settle_int32": _settle_integer,
    "choose": _choose,
    "weigh": _weigh,
    "divide": _divide,
    "items": lambda flat: list(flat[0]),
    "widen": lambda flat: [flat[0].astype(np.int64)],
}
