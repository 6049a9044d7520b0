"""Every convolution and both its gradients are what TensorFlow computes."""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from model_export.lowering import winograd
from model_export.signature import Signature
from tests.model_export.lowered import Lowered
from wire.tensors import TensorSpec

pytestmark = pytest.mark.tensorflow

BATCH, OUT = 2, 3


class Case(NamedTuple):
    image: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: str
    channels: int

    @property
    def name(self) -> str:
        sizes = (*self.image, *self.kernel, *self.stride, *self.dilation, self.channels)
        return f"conv_{self.padding.lower()}_" + "_".join(map(str, sizes))


def _cases() -> Iterator[Case]:
    kernels = [(1, 1), (2, 2), (3, 3), (5, 5), (1, 3), (3, 2)]
    for kernel, stride, padding in itertools.product(kernels, [(1, 1), (2, 2), (3, 2)], ["SAME", "VALID"]):
        yield Case((9, 8), kernel, stride, (1, 1), padding, 2)
    for kernel, padding in itertools.product([(2, 2), (3, 3)], ["SAME", "VALID"]):
        yield Case((9, 8), kernel, (1, 1), (2, 2), padding, 2)
        yield Case((9, 8), kernel, (1, 1), (2, 1), padding, 40)
    for kernel, stride, padding in itertools.product([(1, 1), (3, 3), (5, 5)], [(1, 1), (2, 2)], ["SAME", "VALID"]):
        yield Case((7, 8), kernel, stride, (1, 1), padding, 40)  # more than 64 taps: Winograd's, or row by row
    for kernel, padding in itertools.product([(2, 2), (1, 3), (3, 2), (3, 1), (4, 4), (6, 7)], ["SAME", "VALID"]):
        yield Case((7, 8), kernel, (1, 1), (1, 1), padding, 40)
    for kernel in [(3, 3), (5, 5)]:
        yield Case((2, 1), kernel, (1, 1), (1, 1), "SAME", 40)  # a filter larger than the image
    yield Case((1, 4), (2, 2), (1, 1), (2, 1), "SAME", 2)  # no tap looks at the only row
    for kernel, stride in itertools.product([(1, 1), (2, 1), (5, 3)], [(4, 3), (1, 2)]):
        yield Case((9, 8), kernel, stride, (1, 1), "SAME", 40)  # steps longer than the filter leave gaps


CASES = list(_cases())


@pytest.mark.parametrize("taps", range(2, 10))
def test_a_winograd_scheme_computes_two_neighbouring_outputs_exactly(taps: int) -> None:
    scheme = winograd.scheme(taps)
    weights = np.einsum("km,kj,ki->mji", scheme.outputs, scheme.filter, scheme.inputs)
    expected = np.fromfunction(lambda m, j, i: i == m + j, weights.shape).astype(np.float32)
    np.testing.assert_array_equal(weights, expected)
    assert len(scheme.filter) < 2 * taps


def _signature(case: Case) -> Signature:
    def body(x: Any, kernel: Any, weights: Any) -> dict[str, Any]:
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = tf.nn.conv2d(x, kernel, case.stride, case.padding, dilations=case.dilation)
            total = tf.reduce_sum(y * weights)
        dx, dkernel = tape.gradient(total, [x, kernel])
        return {"y": y, "dx": dx, "dkernel": dkernel}

    shapes = {name: value.shape for name, value in _inputs(case).items()}
    return Signature(case.name, {name: TensorSpec("float32", shape) for name, shape in shapes.items()}, body)


def _inputs(case: Case) -> dict[str, Any]:
    random = np.random.default_rng(CASES.index(case))
    x = random.standard_normal((BATCH, *case.image, case.channels)).astype(np.float32)
    kernel = random.standard_normal((*case.kernel, case.channels, OUT)).astype(np.float32)
    y = tf.nn.conv2d(x, kernel, case.stride, case.padding, dilations=case.dilation)
    return {"x": x, "kernel": kernel, "weights": random.standard_normal(y.shape).astype(np.float32)}


@pytest.fixture(scope="module")
def lowered() -> Lowered:
    return Lowered([_signature(case) for case in CASES])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_convolution_and_its_gradients_are_those_of_tensorflow(lowered: Lowered, case: Case) -> None:
    inputs = _inputs(case)
    found, expected = lowered.on_device(case.name, inputs), lowered.in_tensorflow(case.name, inputs)
    for tensor, value in expected.items():
        np.testing.assert_allclose(found[tensor], value, rtol=0, atol=2e-6 * np.abs(value).max(), err_msg=tensor)
