"""Holds exported functions against the same functions run eagerly in TensorFlow, on the same inputs and state.

Each comparison starts a new program and new variables, and calls every function in the order they were given, twice
over, so that what one leaves in the state is what the next one finds. Floats have the tolerance of
`model_export.verify`, and a differing draw is repeated with another, as there, the last one with matrices as small as
those that training starts from. Integers and bools are equal or wrong; one in a thousand may differ, for where they are
made of floats, a rounding may decide the other way.

Not every number makes sense to every function: an index, a divisor, what a logarithm takes. Where TensorFlow itself
fails on a draw, or comes to no finite number, tamer numbers are drawn, the last of them all zero. A difference between
finite numbers is never forgiven so.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from model_export.errors import VerificationError
from model_export.function import ExportedFunctions, Function
from model_export.verify import ROUNDING, TOLERANCE
from plans.manifest import Port
from plans.program import FLAG, Program, unbind_all
from wire.tensors import Array, Tensors, TensorSpec

_ROUNDS = 2
_DRAWS = 3
_DECIDED_OTHERWISE = 1e-3

_log = logging.getLogger(__name__)


class _OutOfDomainError(Exception):
    """The numbers that were drawn mean nothing to a function."""


def verify_functions(
    exported: ExportedFunctions, functions: Mapping[str, Function], initial: Mapping[str, Array]
) -> None:
    """Compare every function; see the module's description.

    Raises:
        VerificationError: naming the signature and the tensor.
    """
    differing: VerificationError | None = None
    for draw in range(1, _DRAWS + 1):
        try:
            return _compare(exported, functions, initial, partial(_drawn, random=np.random.default_rng(draw)))
        except VerificationError as error:
            differing = error
        except _OutOfDomainError:
            continue
    if differing is not None:
        with suppress(VerificationError, _OutOfDomainError):
            return _compare(exported, functions, initial, partial(_calm, random=np.random.default_rng(_DRAWS + 1)))
        raise differing
    for tame in (_positive, _zeros):
        with suppress(_OutOfDomainError):
            return _compare(exported, functions, initial, tame)
    # What is left, such as a reshape to a size that is given, is held against TensorFlow by nobody.
    _log.warning("%s: TensorFlow computes nothing finite from any number that was tried", ", ".join(functions))
    return None


def _compare(
    exported: ExportedFunctions,
    functions: Mapping[str, Function],
    initial: Mapping[str, Array],
    draw: Callable[[TensorSpec], Array],
) -> None:
    """One comparison, on inputs that `draw` gives.

    Raises:
        VerificationError: see `verify_functions`.
        _OutOfDomainError: TensorFlow failed, or the two differ after something was not finite.
    """
    program = Program(exported.tflite)
    variables = {name: tf.Variable(value) for name, value in initial.items()}
    is_finite = True
    for index in range(max([_ROUNDS, *(len(function.samples) for function in functions.values())])):
        for name, function in functions.items():
            inputs = _inputs(function, exported.signatures[name].inputs, index, draw)
            given = _in_tensorflow(function, variables, inputs)
            is_finite = is_finite and _all_finite([*given.values(), *(one.numpy() for one in variables.values())])
            found = _on_device(program, exported, name, inputs)
            if function.is_random:
                _finite(name, found)
                continue
            try:
                _same(name, inputs, found, given)
            except VerificationError:
                if is_finite or function.samples:
                    raise
                raise _OutOfDomainError from None


def _in_tensorflow(function: Function, variables: Mapping[str, Any], inputs: Tensors) -> dict[str, Array]:
    try:
        given = function.body(variables, **{name: tf.constant(value) for name, value in inputs.items()}) or {}
    except tf.errors.OpError as error:
        if function.samples:
            raise
        raise _OutOfDomainError from error
    return {name: np.asarray(tf.convert_to_tensor(value)) for name, value in given.items()}


def _all_finite(arrays: Sequence[Array]) -> bool:
    return all(bool(np.isfinite(array).all()) for array in arrays if array.dtype.kind == "f")


def _on_device(program: Program, exported: ExportedFunctions, name: str, inputs: Tensors) -> dict[str, Array]:
    ports = exported.signatures[name]
    if ports.inputs:
        outputs = program.call_through(name, ports.inputs, inputs)
    else:
        outputs = program.call(name, **{FLAG: np.ones(1, np.float32)})
    return unbind_all(ports.outputs, outputs)


def _inputs(
    function: Function, ports: Mapping[str, Port], index: int, draw: Callable[[TensorSpec], Array]
) -> dict[str, Array]:
    if function.samples:
        return {name: np.asarray(value) for name, value in function.samples[index % len(function.samples)].items()}
    return {name: draw(port.spec) for name, port in ports.items()}


def _drawn(spec: TensorSpec, random: np.random.Generator) -> Array:
    if spec.dtype == "float32":
        return np.asarray(random.standard_normal(spec.shape), np.float32)
    highest = 256 if spec.dtype == "uint8" else 2
    return np.asarray(random.integers(0, highest, spec.shape)).astype(spec.dtype)


def _calm(spec: TensorSpec, random: np.random.Generator) -> Array:
    """The same, with matrices as weights are initialised: σ² is 1 over the number of rows. All else stays as it is.

    A recurrent layer with larger weights is chaotic: it makes any difference of rounding as large as its numbers.
    """
    drawn = _drawn(spec, random)
    is_matrix = spec.dtype == "float32" and len(spec.shape) == 2  # noqa: PLR2004 - rows and columns
    return drawn / np.sqrt(np.float32(max(spec.shape[0], 1))) if is_matrix else drawn


def _positive(spec: TensorSpec) -> Array:
    """Floats between a half and one, all different; integers that are 1."""
    if spec.dtype != "float32":
        return np.ones(spec.shape, spec.dtype)
    return np.linspace(0.5, 1.0, math.prod(spec.shape), dtype=np.float32).reshape(spec.shape)


def _zeros(spec: TensorSpec) -> Array:
    return np.zeros(spec.shape, spec.dtype)


def _finite(signature: str, found: Tensors) -> None:
    for name, value in found.items():
        if not np.isfinite(value).all():
            raise VerificationError(signature, name, np.inf, 0.0, "TensorFlow")


def _same(signature: str, inputs: Tensors, found: Tensors, given: Tensors) -> None:
    entered = max([1.0, *(_largest(value) for value in inputs.values() if value.dtype.kind == "f")])
    for name, value in found.items():
        expected = given[name]
        tolerance = (
            TOLERANCE * _largest(_finite_part(expected)) + ROUNDING * entered if expected.dtype.kind == "f" else 0.0
        )
        difference = _difference(value, expected)
        if expected.dtype.kind != "f" and _is_decided_otherwise(value, expected):
            continue
        if not difference <= tolerance:  # a NaN is not smaller either
            raise VerificationError(signature, name, difference, tolerance, "TensorFlow")


def _is_decided_otherwise(found: Array, expected: Array) -> bool:
    """Whether no more integers differ than roundings explain."""
    is_alike = found.shape == expected.shape and found.dtype == expected.dtype
    return is_alike and bool(np.count_nonzero(found != expected) <= _DECIDED_OTHERWISE * found.size)


def _difference(found: Array, expected: Array) -> float:
    """The largest difference; none between two NaNs or two infinities of one sign."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return np.inf
    equal = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        return _largest(np.where(equal, 0.0, found.astype(np.float64) - expected))


def _finite_part(values: Array) -> Array:
    return np.asarray(np.where(np.isfinite(values), values, 0))


def _largest(values: Array) -> float:
    return float(np.abs(values).max(initial=0.0))
