"""Holds exported functions against the same functions run eagerly in TensorFlow, on the same inputs and state.

Each comparison starts a new program and new variables, and calls every function in the order they were given, several
times over, so that what one leaves in the state is what the next one finds. Integers and bools are equal or wrong;
floats have the tolerance of `model_export.verify`, and a differing draw is repeated with another, as there.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from model_export.errors import VerificationError
from model_export.function import ExportedFunctions, Function
from model_export.verify import ROUNDING, TOLERANCE
from plans.client import FLAG
from plans.manifest import Port
from plans.program import Program, unbind_all
from wire.tensors import Array, Tensors, TensorSpec

_ROUNDS = 3
_DRAWS = 3


def verify_functions(
    exported: ExportedFunctions, functions: Mapping[str, Function], initial: Mapping[str, Array]
) -> None:
    """Compare every function; see the module's description.

    Raises:
        VerificationError: naming the signature and the tensor.
    """
    for draw in range(1, _DRAWS + 1):
        try:
            return _compare(exported, functions, initial, np.random.default_rng(draw))
        except VerificationError:
            if draw == _DRAWS:
                raise
    return None


def _compare(
    exported: ExportedFunctions,
    functions: Mapping[str, Function],
    initial: Mapping[str, Array],
    random: np.random.Generator,
) -> None:
    program = Program(exported.tflite)
    variables = {name: tf.Variable(value) for name, value in initial.items()}
    for index in range(max([_ROUNDS, *(len(function.samples) for function in functions.values())])):
        for name, function in functions.items():
            ports = exported.signatures[name]
            inputs = _inputs(function, ports.inputs, index, random)
            given = function.body(variables, **{key: tf.constant(value) for key, value in inputs.items()}) or {}
            found = _on_device(program, exported, name, inputs)
            if function.is_random:
                _finite(name, found)
            else:
                _same(name, inputs, found, given)


def _on_device(program: Program, exported: ExportedFunctions, name: str, inputs: Tensors) -> dict[str, Array]:
    ports = exported.signatures[name]
    if ports.inputs:
        outputs = program.call_through(name, ports.inputs, inputs)
    else:
        outputs = program.call(name, **{FLAG: np.ones(1, np.float32)})
    return unbind_all(ports.outputs, outputs)


def _inputs(function: Function, ports: Mapping[str, Port], index: int, random: np.random.Generator) -> dict[str, Array]:
    if function.samples:
        return {name: np.asarray(value) for name, value in function.samples[index % len(function.samples)].items()}
    return {name: _draw(port.spec, random) for name, port in ports.items()}


def _draw(spec: TensorSpec, random: np.random.Generator) -> Array:
    if spec.dtype == "float32":
        return np.asarray(random.standard_normal(spec.shape), np.float32)
    highest = 256 if spec.dtype == "uint8" else 2
    return np.asarray(random.integers(0, highest, spec.shape)).astype(spec.dtype)


def _finite(signature: str, found: Tensors) -> None:
    for name, value in found.items():
        if not np.isfinite(value).all():
            raise VerificationError(signature, name, np.inf, 0.0, "TensorFlow")


def _same(signature: str, inputs: Tensors, found: Tensors, given: Mapping[str, Any]) -> None:
    entered = max([1.0, *(_largest(value) for value in inputs.values() if value.dtype.kind == "f")])
    for name, value in found.items():
        expected = np.asarray(tf.convert_to_tensor(given[name]))
        tolerance = TOLERANCE * _largest(expected) + ROUNDING * entered if expected.dtype.kind == "f" else 0.0
        difference = _difference(value, expected)
        if not difference <= tolerance:  # a NaN is not smaller either
            raise VerificationError(signature, name, difference, tolerance, "TensorFlow")


def _difference(found: Array, expected: Array) -> float:
    """The largest difference; none between two NaNs or two infinities of one sign."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return np.inf
    equal = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        return _largest(np.where(equal, 0.0, found.astype(np.float64) - expected))


def _largest(values: Array) -> float:
    return float(np.abs(values).max(initial=0.0))
