"""The gradient of every pool is what TensorFlow computes, ties included."""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from model_export.signature import Signature
from tests.model_export.lowered import Lowered
from wire.tensors import TensorSpec

pytestmark = pytest.mark.tensorflow


class Case(NamedTuple):
    kind: str
    image: tuple[int, int]
    window: tuple[int, int]
    stride: tuple[int, int]
    padding: str

    @property
    def name(self) -> str:
        return f"{self.kind}_{self.padding.lower()}_" + "_".join(map(str, (*self.image, *self.window, *self.stride)))


def _cases() -> Iterator[Case]:
    windows = [
        ((2, 2), (2, 2)),
        ((3, 3), (3, 3)),
        ((3, 3), (2, 2)),
        ((2, 2), (1, 1)),
        ((2, 2), (3, 3)),
        ((2, 3), (2, 3)),
    ]
    images = [(6, 6), (7, 8)]  # the second leaves a remainder, or an odd padding
    for kind, image, (window, stride), padding in itertools.product(["max", "avg"], images, windows, ["SAME", "VALID"]):
        yield Case(kind, image, window, stride, padding)


CASES = list(_cases())


def _pool(case: Case, x: Any) -> Any:
    pool = tf.nn.max_pool2d if case.kind == "max" else tf.nn.avg_pool2d
    return pool(x, case.window, case.stride, case.padding)


def _signature(case: Case) -> Signature:
    def body(x: Any, weights: Any) -> dict[str, Any]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(_pool(case, x) * weights)
        return {"dx": tape.gradient(total, x)}

    shapes = {name: value.shape for name, value in _inputs(case, ties=False).items()}
    return Signature(case.name, {name: TensorSpec("float32", shape) for name, shape in shapes.items()}, body)


def _inputs(case: Case, *, ties: bool) -> dict[str, Any]:
    random = np.random.default_rng(CASES.index(case))
    shape = (2, *case.image, 3)
    x = random.integers(-1, 2, shape) if ties else random.standard_normal(shape)
    weights = random.standard_normal(_pool(case, x.astype(np.float32)).shape)
    return {"x": x.astype(np.float32), "weights": weights.astype(np.float32)}


@pytest.fixture(scope="module")
def lowered() -> Lowered:
    return Lowered([_signature(case) for case in CASES])


@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_gradient_of_a_pool_is_that_of_tensorflow(lowered: Lowered, case: Case, ties: bool) -> None:
    inputs = _inputs(case, ties=ties)
    found, expected = lowered.on_device(case.name, inputs), lowered.in_tensorflow(case.name, inputs)
    np.testing.assert_allclose(found["dx"], expected["dx"], rtol=0, atol=2e-6)
