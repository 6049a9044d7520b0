"""One way to hold rounds of federated averaging, in a process of its own, for `benchmarks.simulation`.

    python -m benchmarks.simulated_rounds NAME CASE CLIENTS EXAMPLES STARTED

It holds one round and says so, then one for each line of its standard input. Every answer is a line of JSON.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np

from benchmarks.simulated_clients import LEARNING_RATE, MLP, Clients, Contestant, first_weights, trained_by_hand
from benchmarks.simulated_peers import FedJax, Flower, Pfl

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class NumpyLoop:
    """The multilayer perceptron by hand, its gradient too: what nobody's simulation can be much faster than."""

    def __init__(self, clients: Clients) -> None:
        if clients.case != MLP:
            raise ImportError("there is no convolution in NumPy")
        self._weights, self._clients = first_weights(), clients

    def round(self) -> float:
        total = [np.zeros_like(w) for w in self._weights]
        examples = self._clients.examples
        for number in range(self._clients.count):
            for place, after in enumerate(trained_by_hand(self._weights, self._clients.batches(number))):
                total[place] += examples * (after - self._weights[place])
        count = examples * self._clients.count
        self._weights = [w + part / count for w, part in zip(self._weights, total, strict=True)]
        return float(np.square(self._weights[0]).sum())


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
                total[place] += self._clients.examples * (variable.numpy() - before[place])
        count = self._clients.examples * self._clients.count
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
        self._cohort = data.cohort(names, clients.batch_size)
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
    if case == MLP:
        return keras.Sequential([keras.Input((784,)), layers.Dense(200, activation="relu"), layers.Dense(10)])
    body = [layers.Conv2D(32, 3, activation="relu"), layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(2)]
    head = [layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(10)]
    return keras.Sequential([keras.Input((28, 28, 1)), *body, *head])


CONTESTANTS: Mapping[str, Callable[[Clients], Contestant]] = {
    "numpy": NumpyLoop,
    "tensorflow": TensorFlowLoop,
    "fedelta": Fedelta,
    "fedelta_all_cores": lambda clients: Fedelta(clients, None),
    "fedjax": FedJax,
    "pfl": Pfl,
    "flower": Flower,
}


def main(name: str, case: str, count: str, examples: str, started: str) -> None:
    """Serve until the standard input ends."""
    clients = Clients(case, int(count), int(examples))
    try:
        contestant = CONTESTANTS[name](clients)
    except ImportError as error:
        return print(json.dumps({"unavailable": str(error)}), flush=True)
    figures = _round(contestant)
    if clients.first_read is not None:
        figures["launch_to_first_client_seconds"] = clients.first_read[0] - float(started)
        figures["launch_cpu_seconds"] = clients.first_read[1]
    print(json.dumps(figures), flush=True)
    for _ in sys.stdin:
        print(json.dumps(_round(contestant)), flush=True)
    if isinstance(contestant, Flower):
        contestant.close()
    return None


def _round(contestant: Contestant) -> dict[str, float]:
    cpu, wall = _cpu_seconds(), time.perf_counter()
    value = contestant.round()
    figures = {"cpu_seconds": _cpu_seconds() - cpu, "wall_seconds": time.perf_counter() - wall}
    return {**figures, "square_of_first_kernel": value, "peak_resident_bytes": _peak_resident_bytes()}


def _cpu_seconds() -> float:
    """What this process has computed so far, over all threads, and what the processes that it started have."""
    ticks = 0
    for process in _descendants():
        fields = _read(process / "stat").rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:13])) if fields else 0  # utime and stime; see proc(5)
    return time.process_time() + ticks / _TICKS_PER_SECOND


def _peak_resident_bytes() -> int:
    """The most memory that this process had at once, plus the most that each process had which it started."""
    peaks = [
        _read(process / "status").partition("VmHWM:")[2].split() for process in (Path("/proc/self"), *_descendants())
    ]
    return sum(int(fields[0]) << 10 for fields in peaks if fields)


def _descendants() -> Iterator[Path]:
    """The processes that this one started, theirs too, in /proc."""
    parents = {
        process: _read(process / "stat").rpartition(")")[2].split()[1:2] for process in Path("/proc").glob("[0-9]*")
    }
    waiting = [str(os.getpid())]
    while waiting:
        parent = waiting.pop()
        for process in [process for process, found in parents.items() if found == [parent]]:
            waiting.append(process.name)
            yield process


def _read(file: Path) -> str:
    """A file of /proc; nothing of a process that has ended."""
    try:
        return file.read_text()
    except OSError:
        return ""


if __name__ == "__main__":
    main(*sys.argv[1:6])
