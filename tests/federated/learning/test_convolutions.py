"""A plan of a network of convolutions is one file, and trains alike wherever its memory lies."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import federated as fed
from federated.contexts.cohort_examples import MemoryExamples
from plans import bundle, client, server
from plans.client import ClientResult
from plans.program import Program

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]

PROGRAMS = 12  # each in other memory
BATCH = 20
X = np.random.default_rng(3).standard_normal((60, 50, 24), np.float32)
EXAMPLES = (X, np.arange(60, dtype=np.int32) % 10, np.ones(60, np.float32))  # and their labels and weights


def compiled() -> bundle.Plan:
    """A round of federated averaging of two convolutions and a layer over all that they see."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(1)
    convolutions = [
        layer for _ in range(2) for layer in (layers.Conv1D(32, 5, activation="relu"), layers.MaxPooling1D(2))
    ]
    network = keras.Sequential([keras.Input((50, 24)), *convolutions, layers.Flatten(), layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = fed.learning.models.functional_model_from_keras(network, loss)
    process = fed.learning.algorithms.build_weighted_fed_avg(model, fed.learning.optimizers.build_sgdm(0.1))
    batches = [tuple(part[first : first + BATCH] for part in EXAMPLES) for first in range(0, len(X), BATCH)]
    return fed.compiled(process.next_computation, process.initialize(), [batches]).plan


def _trained(plan: bundle.Plan, *, delegate: bool | None) -> ClientResult:
    """What a client sends, by a program that is loaded for it."""
    (work,) = plan.manifest.works.values()
    (train,) = work.passes
    prepared = server.prepare(Program(plan.server), plan.manifest, work, plan.initial)
    by_spec = {(part.dtype.name, part.shape[1:]): part for part in EXAMPLES}
    fields = {
        train.selector.inputs[name]: by_spec[one.spec.dtype, one.spec.shape] for name, one in train.inputs.items()
    }
    examples = {train.selector.collection: MemoryExamples(fields, len(X))}
    return client.run(Program(plan.client, delegate=delegate), work, prepared.broadcast, examples, seed=0)


def test_a_client_sends_the_same_wherever_the_memory_of_its_program_lies() -> None:
    plan = compiled()
    expected = _trained(plan, delegate=False)
    assert expected.steps == 3
    for _ in range(PROGRAMS):
        found = _trained(plan, delegate=None)
        for name, value in expected.update.items():
            np.testing.assert_allclose(found.update[name], value, rtol=1e-3, atol=1e-3)


def test_the_plan_is_the_same_bytes_whatever_seed_hashes_have() -> None:
    digests = {_digest_with_hash_seed(seed) for seed in (1, 2)}
    assert len(digests) == 1


def _digest_with_hash_seed(seed: int) -> str:
    code = f"from {__name__} import compiled; from plans import bundle; print(bundle.digest(bundle.pack(compiled())))"
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment, cwd=root
    )
    return done.stdout.split()[-1]
