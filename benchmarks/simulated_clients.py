"""The clients of `benchmarks.simulation`, the same for every contestant, and what a contestant is."""

import time
from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np

from wire.tensors import Array

EXAMPLES, BATCH_SIZE, LEARNING_RATE, CLASSES = 100, 20, 0.1, 10
MLP, CNN = "mlp_784_200_10", "cnn_3x3_1200k"
SHAPES: Mapping[str, tuple[int, ...]] = {MLP: (784,), CNN: (28, 28, 1)}
_KEPT_BYTES = 32 << 20


class Contestant(Protocol):
    """Rounds over all clients, each going once through its examples."""

    def round(self) -> float:
        """Hold a round, and give a number that shows what the model has become."""


def client(case: str, number: int, examples: int = EXAMPLES) -> tuple[Array, Array]:
    """A client's examples: the same for every contestant, different from every other client's."""
    random = np.random.default_rng(number)
    x = random.standard_normal((examples, *SHAPES[case]), np.float32)
    return x, x.reshape(examples, -1)[:, :CLASSES].argmax(1).astype(np.int32)


class Clients:
    """Clients that are kept where there are few, and made when they are needed where there are many.

    Attributes:
        batch_size: of every client's batches.
        first_read: when the first client was read, in seconds since the epoch, and what this process had computed by
            then, in CPU seconds; None if that was in another process.
    """

    def __init__(self, case: str, count: int, examples: int = EXAMPLES) -> None:
        self.case, self.count, self.examples = case, count, examples
        self.batch_size = min(BATCH_SIZE, examples)
        self.first_read: tuple[float, float] | None = None
        is_kept = count * examples * int(np.prod(SHAPES[case])) * 4 <= _KEPT_BYTES
        self._kept = [client(case, number, examples) for number in range(count)] if is_kept else []

    def read(self, number: int) -> tuple[Array, Array]:
        """A client's examples."""
        self.first_read = self.first_read or (time.time(), time.process_time())
        return self._kept[number] if self._kept else client(self.case, number % 100, self.examples)

    def batches(self, number: int) -> Iterator[tuple[Array, Array]]:
        """A client's examples in batches."""
        x, y = self.read(number)
        return ((x[i : i + self.batch_size], y[i : i + self.batch_size]) for i in range(0, len(y), self.batch_size))


def first_weights() -> list[Array]:
    """What the multilayer perceptron starts from where Keras does not make it: kernel, bias, kernel, bias."""
    random = np.random.default_rng(1)
    kernels = [random.uniform(-a, a, s).astype(np.float32) for a, s in ((0.08, (784, 200)), (0.17, (200, 10)))]
    return [kernels[0], np.zeros(200, np.float32), kernels[1], np.zeros(10, np.float32)]


def trained_by_hand(weights: list[Array], batches: Iterator[tuple[Array, Array]]) -> list[Array]:
    """The multilayer perceptron's weights after these batches, its gradient written out in NumPy."""
    w1, b1, w2, b2 = (w.copy() for w in weights)
    rate = np.float32(LEARNING_RATE)
    for x, y in batches:
        h = np.maximum(x @ w1 + b1, 0)
        z = h @ w2 + b2
        p = np.exp(z - z.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        p[np.arange(len(y)), y] -= 1
        p /= np.float32(len(y))
        dh = (p @ w2.T) * (h > 0)
        w2 -= rate * (h.T @ p)
        b2 -= rate * p.sum(0)
        w1 -= rate * (x.T @ dh)
        b1 -= rate * dh.sum(0)
    return [w1, b1, w2, b2]
