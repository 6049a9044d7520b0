"""Learning rates that are functions of the round, against the same by hand."""

from collections.abc import Iterator

import numpy as np
import pytest

import federated as fed
from tests.federated.learning import oracle
from tests.federated.learning.regression import CLIENTS, CONTEXTS, assert_rounds_are, first_weights, linear_model, mean
from tests.federated.learning.regression import plus as moved

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]

OPTIMIZERS = fed.learning.optimizers
build = fed.learning.algorithms.build_weighted_fed_avg_with_optimizer_schedule


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_clients_and_the_server_follow_their_schedules(context: str) -> None:
    model = linear_model()
    server = OPTIMIZERS.schedule_learning_rate(OPTIMIZERS.build_sgdm(1.0), lambda t: 1 / (1 + t))
    process = build(model, lambda t: 0.1 * 0.5**t, OPTIMIZERS.build_sgdm(1.0), server)

    def by_hand() -> Iterator[oracle.Weights]:
        weights = first_weights(model)
        for t in range(3):
            trained = [oracle.train(weights, client, 0.1 * 0.5**t)[0] for client in CLIENTS]
            weights = moved(weights, moved(mean(trained, [10, 7]), weights, -1), 1 / (1 + t))
            yield weights

    state, _ = assert_rounds_are(process, context, by_hand())
    assert process.get_hparams(state) == {"client_work": {"round_number": 3}, "finalizer": {"round_number": 3}}


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_round_number_can_be_set(context: str) -> None:
    model = linear_model()
    process = build(model, lambda t: 0.1 / (1 + t), OPTIMIZERS.build_sgdm(1.0, momentum=0.5))
    with CONTEXTS[context]():
        state = process.set_hparams(process.initialize(), {"client_work": {"round_number": 9}})
        weights = process.get_model_weights(process.next(state, CLIENTS).state).trainable
        plain = fed.learning.algorithms.build_weighted_fed_avg(model, OPTIMIZERS.build_sgdm(0.01, momentum=0.5))
        expected = plain.get_model_weights(plain.next(plain.initialize(), CLIENTS).state).trainable
    for one, other in zip(weights, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
