"""Trigonometric and hyperbolic functions are exact to the rounding of float32, near zero and far away, as their
gradients are."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from model_export.lowering.scope import Scope
from model_export.lowering.trigonometry import LOWERINGS
from tests.model_export.conformance import Case, Family, check
from wire.tensors import Array

pytestmark = pytest.mark.tensorflow

_ROUNDING = 2.0**-23
_ANY = np.concatenate([np.geomspace(1e-6, 80.0, 4000), np.linspace(0, 5, 4000)])
_UNIT = np.concatenate([np.geomspace(1e-6, 1.0, 4000, endpoint=False), np.linspace(0, 0.99999, 4000)])
_HUGE = np.concatenate([_ANY, np.geomspace(80.0, 1e30, 1000)])

# name -> (TensorFlow's, numpy's in float64, where, units in the last place)
FUNCTIONS: Mapping[str, tuple[Callable[[Any], Any], Callable[[Array], Array], Array, float]] = {
    "acos": (tf.acos, np.arccos, _UNIT, 4),
    "acosh": (tf.acosh, np.arccosh, 1 + _HUGE, 4),
    "asin": (tf.asin, np.arcsin, _UNIT, 4),
    "asinh": (tf.asinh, np.arcsinh, _HUGE, 4),
    "atan": (tf.atan, np.arctan, _HUGE, 4),
    "atanh": (tf.atanh, np.arctanh, _UNIT, 8),
    "cosh": (tf.cosh, np.cosh, _ANY, 64),  # e^40 rounds its argument
    "sinh": (tf.sinh, np.sinh, _ANY, 64),
    "tan": (tf.tan, np.tan, np.linspace(0, 1.5, 4000), 16),
}


def _points(name: str) -> Array:
    positive = FUNCTIONS[name][2].astype(np.float32)
    return positive if name == "acosh" else np.concatenate([positive, -positive])


def _lowered(name: str, x: Array) -> Array:
    (found,) = LOWERINGS[name.capitalize()](None, [tf.constant(x)], Scope()) or ()
    return found.numpy()  # type: ignore[no-any-return]


CASES = [
    Case(name, function, (), others=(_points(name)[::7].reshape(1, -1),), tolerance=1e-5)
    for name, (function, *_) in FUNCTIONS.items()
]


@pytest.fixture(scope="module")
def family() -> Family:
    return Family(CASES)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_that_of_tensorflow_on_devices(family: Family, name: str) -> None:
    check(family, name)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_exact_to_rounding(name: str) -> None:
    _, exact, _, units = FUNCTIONS[name]
    x = _points(name)
    found, expected = _lowered(name, x), exact(x.astype(np.float64))
    relative = np.abs(found - expected) / np.maximum(np.abs(expected), 1e-30)
    scaled = np.where(expected == 0, np.abs(found), relative) / _ROUNDING
    assert scaled.max() <= units, x[scaled.argmax()]


def test_the_ends_of_a_range_are_kept() -> None:
    def at(name: str, *points: float) -> list[float]:
        return [float(value) for value in _lowered(name, np.array(points, np.float32))]

    assert at("acos", 1.0, -1.0) == pytest.approx([0.0, np.pi], abs=1e-6)
    assert at("asin", 1.0, -1.0) == pytest.approx([np.pi / 2, -np.pi / 2], abs=1e-6)
    assert at("acosh", 1.0) == [0.0]
    assert at("atan", np.inf, -np.inf) == pytest.approx([np.pi / 2, -np.pi / 2], abs=1e-6)
    assert np.isnan(at("asin", 1.5) + at("acos", -1.5) + at("acosh", 0.5)).all()
    assert at("sinh", 0.0, 100.0, -100.0) == [0.0, np.inf, -np.inf]
