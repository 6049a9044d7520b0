"""`linear.plan` does what its maker says, by name and by number."""

from collections.abc import Sequence

import numpy as np

from plans import bundle, client, contract, server
from plans.manifest import check_supported
from plans.program import Program
from tests.golden.make_plans import BATCH_SIZE, LINEAR
from wire.tensors import Array

PLAN = bundle.unpack(LINEAR.read_bytes())
STATE = {
    "w": np.array([1, 2], np.float32),
    "b": np.array(3, np.float32),
    "client_learning_rate": np.array(0.1, np.float32),
    "server_learning_rate": np.array(0.5, np.float32),
}
X = np.random.Generator(np.random.PCG64(1)).normal(size=(10, 2)).astype(np.float32)
Y = X[:, 0] - X[:, 1]


class Rows:
    def __len__(self) -> int:
        return len(X)

    def read(self, indices: Sequence[int]) -> dict[str, Array]:
        return {"x": X[indices], "y": Y[indices]}


def test_the_plan_keeps_the_contract_of_plans() -> None:
    check_supported(PLAN.manifest)
    contract.check(PLAN)
    assert bundle.pack(PLAN) == LINEAR.read_bytes()


def test_a_round_of_training_equals_numpy() -> None:
    train = PLAN.manifest.work("train")
    program = Program(PLAN.server)
    broadcast = server.prepare(program, PLAN.manifest, train, STATE).broadcast
    result = client.run(Program(PLAN.client), train, broadcast, {"default": Rows()}, seed=7)
    state = server.update(program, PLAN.manifest, train, STATE, result.update).state

    w, b, loss_sum = _sgd(0.1)
    np.testing.assert_allclose(result.update["w"], (w - STATE["w"]) * 10, rtol=1e-5)
    np.testing.assert_allclose(result.update["b"], (b - 3) * 10, rtol=1e-5)
    np.testing.assert_allclose(result.metrics["loss_sum"], loss_sum, rtol=1e-5)
    assert result.update["weight"] == 10
    assert result.metrics["loss_count"] == 10
    np.testing.assert_allclose(state["w"], STATE["w"] + 0.5 * (w - STATE["w"]), rtol=1e-5)
    np.testing.assert_allclose(state["b"], 3 + 0.5 * (b - 3), rtol=1e-5)
    assert state["client_learning_rate"] == np.float32(0.1)
    assert state["server_learning_rate"] == np.float32(0.5)


def test_an_evaluation_equals_numpy_and_follows_a_training_in_the_same_program() -> None:
    program, server_program = Program(PLAN.client), Program(PLAN.server)
    for name, learning_rate in (("train", 0.1), ("evaluate", 0.0), ("train", 0.1)):
        work = PLAN.manifest.work(name)
        broadcast = server.prepare(server_program, PLAN.manifest, work, STATE).broadcast
        result = client.run(program, work, broadcast, {"default": Rows()}, seed=7)
        np.testing.assert_allclose(result.metrics["loss_sum"], _sgd(learning_rate)[2], rtol=1e-5)


def _sgd(learning_rate: float) -> tuple[Array, float, float]:
    w, b, loss_sum = STATE["w"].astype(np.float64), 3.0, 0.0
    for start in range(0, len(X), BATCH_SIZE):
        x, y = X[start : start + BATCH_SIZE], Y[start : start + BATCH_SIZE]
        error = x @ w + b - y
        loss_sum += float(error @ error)
        w = w - learning_rate * 2 * (error @ x) / len(x)
        b = b - learning_rate * 2 * float(error.mean())
    return w, b, loss_sum
