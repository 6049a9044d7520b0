"""One way to hold rounds of federated averaging, in a process of its own, for `benchmarks.simulation`.

    python -m benchmarks.simulated_rounds NAME CASE CLIENTS STARTED

It holds one round and says so, then one for each line of its standard input. Every answer is a line of JSON.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np

from wire.tensors import Array

EXAMPLES, BATCH_SIZE, LEARNING_RATE, CLASSES = 100, 20, 0.1, 10
SHAPES: Mapping[str, tuple[int, ...]] = {"mlp_784_200_10": (784,), "cnn_3x3_1200k": (28, 28, 1)}


class Contestant(Protocol):
    """Rounds over all clients, each going once through its examples."""

    def round(self) -> float:
        """Hold a round, and give a number that shows what the model has become."""


def client(case: str, number: int) -> tuple[Array, Array]:
    """A client's examples: the same for every contestant, different from every other client's."""
    random = np.random.default_rng(number)
    x = random.standard_normal((EXAMPLES, *SHAPES[case]), np.float32)
    return x, x.reshape(EXAMPLES, -1)[:, :CLASSES].argmax(1).astype(np.int32)


class Clients:
    """Clients that are kept where there are few, and made when they are needed where there are many."""

    def __init__(self, case: str, count: int) -> None:
        self.case, self.count = case, count
        self.first_read: float | None = None
        is_kept = count * EXAMPLES * int(np.prod(SHAPES[case])) * 4 <= _KEPT_BYTES
        self._kept = [client(case, number) for number in range(count)] if is_kept else []

    def read(self, number: int) -> tuple[Array, Array]:
        """A client's examples."""
        self.first_read = self.first_read or time.time()
        return self._kept[number] if self._kept else client(self.case, number % 100)

    def batches(self, number: int) -> Iterator[tuple[Array, Array]]:
        """A client's examples in batches."""
        x, y = self.read(number)
        return ((x[i : i + BATCH_SIZE], y[i : i + BATCH_SIZE]) for i in range(0, len(y), BATCH_SIZE))


_KEPT_BYTES = 64 << 20


class NumpyLoop:
    """The multilayer perceptron by hand, its gradient too: what nobody's simulation can be much faster than."""

    def __init__(self, clients: Clients) -> None:
        if clients.case != "mlp_784_200_10":
            raise ImportError("there is no convolution in NumPy")
        random = np.random.default_rng(1)
        kernels = [random.uniform(-a, a, s).astype(np.float32) for a, s in ((0.08, (784, 200)), (0.17, (200, 10)))]
        self._weights: list[Array] = [kernels[0], np.zeros(200, np.float32), kernels[1], np.zeros(10, np.float32)]
        self._clients = clients

    def round(self) -> float:
        total = [np.zeros_like(w) for w in self._weights]
        for number in range(self._clients.count):
            for place, after in enumerate(self._trained(number)):
                total[place] += EXAMPLES * (after - self._weights[place])
        count = EXAMPLES * self._clients.count
        self._weights = [w + part / count for w, part in zip(self._weights, total, strict=True)]
        return float(np.square(self._weights[0]).sum())

    def _trained(self, number: int) -> list[Array]:
        w1, b1, w2, b2 = (w.copy() for w in self._weights)
        rate = np.float32(LEARNING_RATE)
        for x, y in self._clients.batches(number):
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


class TensorFlowLoop:
    """A `tf.function` for a step, called from Python: the plain way with TensorFlow."""

    def __init__(self, clients: Clients) -> None:
        import tensorflow as tf

        self._tf, self._clients = tf, clients
        self._model = keras_model(clients.case)
        self._variables = [variable.value for variable in self._model.trainable_variables]
        self._step = tf.function(self._gradient_step)

    def round(self) -> float:
        before = [variable.numpy() for variable in self._variables]
        total = [np.zeros_like(w) for w in before]
        for number in range(self._clients.count):
            for variable, w in zip(self._variables, before, strict=True):
                variable.assign(w)
            for x, y in self._clients.batches(number):
                self._step(self._tf.constant(x), self._tf.constant(y))
            for place, variable in enumerate(self._variables):
                total[place] += EXAMPLES * (variable.numpy() - before[place])
        count = EXAMPLES * self._clients.count
        for variable, w, part in zip(self._variables, before, total, strict=True):
            variable.assign(w + part / count)
        return float(np.square(self._variables[0].numpy()).sum())

    def _gradient_step(self, x: Any, y: Any) -> None:
        tf = self._tf
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, self._model(x, training=True))
            loss = tf.reduce_mean(losses)
        for variable, gradient in zip(self._variables, tape.gradient(loss, self._variables), strict=True):
            variable.assign_sub(LEARNING_RATE * gradient)


class Fedelta:
    """Ours: the plan that devices run.

    Args:
        threads: None for one a core.
    """

    def __init__(self, clients: Clients, threads: int | None = 1) -> None:
        import keras

        import federated as fed

        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model = fed.learning.models.functional_model_from_keras(keras_model(clients.case), loss)
        optimizer = fed.learning.optimizers.build_sgdm(LEARNING_RATE)
        self._process = fed.learning.algorithms.build_weighted_fed_avg(model, optimizer)
        names = [str(number) for number in range(clients.count)]
        data = fed.simulation.datasets.from_function(names, lambda name: clients.read(int(name)))
        self._cohort = data.cohort(names, BATCH_SIZE)
        self._context = fed.plan_context(threads=threads)
        self._context.__enter__()
        self._state = self._process.initialize()

    def round(self) -> float:
        self._state, _ = self._process.next(self._state, self._cohort)
        return float(np.square(self._process.get_model_weights(self._state).trainable[0]).sum())


def keras_model(case: str) -> Any:
    """The case's model; the CNN has 1,199,882 parameters, TensorFlow Federated's for EMNIST without dropout."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(1)
    if case == "mlp_784_200_10":
        return keras.Sequential([keras.Input((784,)), layers.Dense(200, activation="relu"), layers.Dense(10)])
    body = [layers.Conv2D(32, 3, activation="relu"), layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(2)]
    head = [layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(10)]
    return keras.Sequential([keras.Input((28, 28, 1)), *body, *head])


CONTESTANTS: Mapping[str, Callable[[Clients], Contestant]] = {
    "numpy": NumpyLoop,
    "tensorflow": TensorFlowLoop,
    "fedelta": Fedelta,
    "fedelta_all_cores": lambda clients: Fedelta(clients, None),
}


def main(name: str, case: str, count: str, started: str) -> None:
    """Serve until the standard input ends."""
    clients = Clients(case, int(count))
    try:
        contestant = CONTESTANTS[name](clients)
    except ImportError as error:
        return print(json.dumps({"unavailable": str(error)}), flush=True)
    figures = _round(contestant)
    assert clients.first_read is not None
    figures["launch_to_first_client_seconds"] = clients.first_read - float(started)
    print(json.dumps(figures), flush=True)
    for _ in sys.stdin:
        print(json.dumps(_round(contestant)), flush=True)
    return None


def _round(contestant: Contestant) -> dict[str, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    value = contestant.round()
    figures = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}
    return {**figures, "square_of_first_kernel": value, "peak_resident_bytes": _peak_resident_bytes()}


def _peak_resident_bytes() -> int:
    with open("/proc/self/status") as file:
        kibibytes = next(line.split()[1] for line in file if line.startswith("VmHWM:"))
    return int(kibibytes) << 10


if __name__ == "__main__":
    main(*sys.argv[1:5])
