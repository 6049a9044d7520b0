"""Other libraries' federated averaging, for `benchmarks.simulation`: each in its own way, on the same clients.

Each is run from an environment that has it, and shuffles nothing, as ours does. TensorFlow Federated is not here: of
its last release, 0.87, pip finds no jaxlib 0.4.14 that it could install.
"""

import os
from queue import Queue
from threading import Thread
from typing import Any

import numpy as np

from benchmarks.simulated_clients import LEARNING_RATE, MLP, Clients, first_weights
from wire.tensors import Array


class FedJax:
    """FedJAX's federated averaging, its clients one after the other in compiled steps."""

    def __init__(self, clients: Clients) -> None:
        import fedjax
        import jax

        self._jax, self._clients = jax, clients
        self._batches = fedjax.ShuffleRepeatBatchHParams(batch_size=clients.batch_size, num_epochs=1, skip_shuffle=True)
        self._dataset = fedjax.ClientDataset
        optimizers = fedjax.optimizers.sgd(LEARNING_RATE), fedjax.optimizers.sgd(1.0)
        apply, weights = _mlp_in_jax() if clients.case == MLP else _cnn_in_jax()

        def loss(weights: Any, batch: Any, key: Any) -> Any:
            log_probabilities = jax.nn.log_softmax(apply(weights, batch["x"]))
            return -jax.numpy.take_along_axis(log_probabilities, batch["y"][:, None], 1).mean()

        self._algorithm = fedjax.algorithms.fed_avg.federated_averaging(jax.grad(loss), *optimizers, self._batches)
        self._state = self._algorithm.init(weights)

    def round(self) -> float:
        keys = self._jax.random.split(self._jax.random.PRNGKey(0), self._clients.count)
        cohort = [(b"%d" % number, self._data(number), keys[number]) for number in range(self._clients.count)]
        self._state, _ = self._algorithm.apply(self._state, cohort)
        return float(np.square(np.asarray(self._state.params[0])).sum())

    def _data(self, number: int) -> Any:
        x, y = self._clients.read(number)
        return self._dataset({"x": x, "y": y})


def _mlp_in_jax() -> tuple[Any, list[Array]]:
    import jax

    def apply(weights: Any, x: Any) -> Any:
        w1, b1, w2, b2 = weights
        return jax.nn.relu(x @ w1 + b1) @ w2 + b2

    return apply, first_weights()


def _cnn_in_jax() -> tuple[Any, list[Array]]:
    import jax

    def convolved(x: Any, kernel: Any) -> Any:
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def apply(weights: Any, x: Any) -> Any:
        k1, b1, k2, b2, w3, b3, w4, b4 = weights
        h = jax.nn.relu(convolved(jax.nn.relu(convolved(x, k1) + b1), k2) + b2)
        h = jax.lax.reduce_window(h, -np.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        return jax.nn.relu(h.reshape(len(h), -1) @ w3 + b3) @ w4 + b4

    random = np.random.default_rng(1)
    shapes = [(3, 3, 1, 32), (3, 3, 32, 64), (9216, 128), (128, 10)]
    kernels = [random.uniform(-a, a, s).astype(np.float32) for a, s in zip(_bounds(shapes), shapes, strict=True)]
    return apply, [one for kernel in kernels for one in (kernel, np.zeros(kernel.shape[-1], np.float32))]


def _bounds(shapes: list[tuple[int, ...]]) -> list[float]:
    """Glorot and Bengio's, as Keras has them."""
    fans = [(int(np.prod(shape[:-1])), shape[-1] * int(np.prod(shape[:-2]))) for shape in shapes]
    return [float(np.sqrt(6 / sum(fan))) for fan in fans]


class Pfl:
    """pfl-research's federated averaging with PyTorch, one process and one thread."""

    def __init__(self, clients: Clients) -> None:
        import torch
        from pfl.aggregate.simulate import SimulatedBackend
        from pfl.algorithm.federated_averaging import FederatedAveraging
        from pfl.data.dataset import Dataset
        from pfl.data.federated_dataset import FederatedDataset
        from pfl.hyperparam import NNTrainHyperParams
        from pfl.model.pytorch import PyTorchModel

        torch.set_num_threads(1)
        torch.manual_seed(1)

        def of_user(number: int) -> Any:
            x, y = clients.read(number)
            images = np.ascontiguousarray(np.moveaxis(x, -1, 1)) if x.ndim > 2 else x  # noqa: PLR2004 - of a vector
            return Dataset((torch.from_numpy(images), torch.from_numpy(y).long()), user_id=str(number))

        turns = iter(range(1 << 62))
        data = FederatedDataset(of_user, lambda: next(turns) % clients.count)
        self._backend = SimulatedBackend(training_data=data, val_data=None)
        self._module = _in_torch(clients.case)
        optimizer = torch.optim.SGD(self._module.parameters(), lr=1.0)
        self._model = PyTorchModel(self._module, local_optimizer_create=torch.optim.SGD, central_optimizer=optimizer)
        self._training = NNTrainHyperParams(
            local_num_epochs=1, local_learning_rate=LEARNING_RATE, local_batch_size=clients.batch_size
        )
        self._algorithm, self._cohort, self._rounds = FederatedAveraging(), clients.count, 0

    def round(self) -> float:
        from pfl.algorithm.base import NNAlgorithmParams

        self._rounds += 1
        until = NNAlgorithmParams(
            central_num_iterations=self._rounds,  # it goes on from where it was
            evaluation_frequency=1 << 62,
            train_cohort_size=self._cohort,
            val_cohort_size=None,
        )
        self._algorithm.run(until, self._backend, self._model, self._training, send_metrics_to_platform=False)
        return float(next(self._module.parameters()).detach().square().sum())


def _in_torch(case: str) -> Any:
    from torch import nn

    class Module(nn.Sequential):  # type: ignore[misc]  # PyTorch is not installed where types are checked
        """With what pfl asks a module for."""

        def loss(self, x: Any, y: Any, is_eval: bool = False) -> Any:
            return nn.functional.cross_entropy(self(x), y)

        def metrics(self, x: Any, y: Any) -> dict[str, Any]:
            return {}

    if case == MLP:
        return Module(nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 10))
    body = [nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    return Module(*body, nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10))


class Flower:
    """Flower's simulation on Ray, its clients doing the NumPy loop's steps.

    Flower calls its server's function and not the other way round, so that runs in a thread and waits for orders.
    """

    def __init__(self, clients: Clients) -> None:
        if clients.case != MLP:
            raise ImportError("its client here is the NumPy loop's")
        os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
        from flwr.app import ArrayRecord
        from flwr.serverapp import ServerApp
        from flwr.serverapp.strategy import FedAvg
        from flwr.simulation import run_simulation

        from benchmarks import flower_client

        self._orders: Queue[str] = Queue()
        self._answers: Queue[float] = Queue()
        app = ServerApp()
        weights = first_weights()

        @app.main()  # type: ignore[untyped-decorator]  # Flower is not installed where types are checked
        def serve(grid: Any, context: Any) -> None:
            arrays = ArrayRecord(weights)
            strategy = FedAvg(fraction_evaluate=0.0, min_available_nodes=clients.count)
            while self._orders.get() == "round":
                arrays = strategy.start(grid, arrays, num_rounds=1).arrays
                self._answers.put(float(np.square(arrays.to_numpy_ndarrays()[0]).sum()))

        resources = {"client_resources": {"num_cpus": 1, "num_gpus": 0.0}}
        arguments = (app, flower_client.app, clients.count)
        self._simulation = Thread(target=run_simulation, args=arguments, kwargs={"backend_config": resources})
        self._simulation.start()

    def round(self) -> float:
        self._orders.put("round")
        return self._answers.get()

    def close(self) -> None:
        """End the simulation and Ray's processes."""
        self._orders.put("end")
        self._simulation.join()
