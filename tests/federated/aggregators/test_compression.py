"""What compressed sums come to, against the papers' formulas in NumPy, and what they cost."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import federated as fed
from federated.aggregators import EdenFactory, EncodedSumFactory, MeanFactory, SumFactory, TopKFactory
from federated.language.errors import MisuseError
from federated.language.types import to_type
from tests.federated.aggregators.rounds import FLOAT, rounds_of, vector
from wire.tensors import Array

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]

LENGTH = 600
COMPRESSED = [EncodedSumFactory(8), EncodedSumFactory(2), EdenFactory(1), EdenFactory(3), TopKFactory(0.1)]


def values(count: int, seed: int = 0, length: int = LENGTH) -> list[Array]:
    return list(np.random.default_rng(seed).normal(size=(count, length)).astype(np.float32))


def total(factory: Any, given: list[Array]) -> Array:
    process = factory.create(vector(given[0].size))
    return np.asarray(process.next(process.initialize(), given).result)


@pytest.mark.parametrize("factory", COMPRESSED, ids=str)
def test_the_contexts_agree_and_a_next_round_draws_anew(factory: Any) -> None:
    given = values(2)
    first, second = rounds_of(factory, vector(LENGTH), given, given)
    assert (first.state, second.state) == (2, 3)
    if not isinstance(factory, TopKFactory):
        assert not np.array_equal(first.result, second.result)


def test_a_quantised_element_is_off_by_less_than_a_step_of_its_block() -> None:
    (value,) = values(1)
    steps = [np.ptp(np.r_[block, np.zeros(256 - len(block))]) / 15 for block in np.split(value, [256, 512])]
    error = np.abs(total(EncodedSumFactory(4), [value]) - value)
    for block, step in zip(np.split(error, [256, 512]), steps, strict=True):
        assert block.max() < step * 1.001


@pytest.mark.parametrize(("bits", "expected"), [(1, math.pi / 2 - 1), (2, 0.1331), (3, 0.0358), (4, 0.0096)])
def test_eden_is_as_wrong_as_its_paper_says(bits: int, expected: float) -> None:
    # 1 / (1 − the least mean square error of 2^b values for a normal number) − 1: EDEN, Theorem 2.1.
    (value,) = values(1, length=4096)
    error = total(EdenFactory(bits), [value]) - value
    np.testing.assert_allclose((error @ error) / (value @ value), expected, rtol=0.2)


@pytest.mark.parametrize("factory", [EncodedSumFactory(1), EdenFactory(1)], ids=str)
def test_the_errors_of_many_clients_cancel(factory: Any) -> None:
    common, *own = values(101, length=256)
    given = [common + np.float32(0.05) * one for one in own]
    alone, together = (
        np.linalg.norm(total(factory, given[:count]) / count - np.mean(given[:count], 0)) for count in (1, 100)
    )
    assert together < alone / 5


def test_the_largest_elements_are_sent_and_the_others_lost() -> None:
    (output,) = rounds_of(TopKFactory(0.4), vector(5), [[1.0, -5.0, 2.0, 0.5, 4.0], [0.0, 3.0, 0.0, 7.0, 0.0]])
    np.testing.assert_array_equal(output.result, [0.0, -2.0, 0.0, 7.0, 4.0])


COHORTS = (["a", "b", "c"], ["c", "a"], ["b"], ["a", "b", "c"])


@pytest.mark.parametrize("context", [fed.local_context, fed.plan_context])
def test_what_is_not_sent_comes_later(context: Any) -> None:
    """Algorithm 1 of "Sparsified SGD with Memory", over rounds in which not everyone takes part."""
    process = TopKFactory(0.25, error_feedback=True).create(vector(8))
    states, errors = fed.simulation.DeviceStates(), {name: np.zeros(8) for name in "abc"}
    with context():
        state = process.initialize()
        for number, cohort in enumerate(COHORTS):
            given = values(len(cohort), seed=number, length=8)
            expected = np.zeros(8)
            for name, v in zip(cohort, given, strict=True):
                p = errors[name] + v
                sent = np.where(np.abs(p) >= np.sort(np.abs(p))[-2], p, 0)
                errors[name], expected = p - sent, expected + sent
            with states.of(cohort):
                output = process.next(state, given)
            state = output.state
            np.testing.assert_allclose(output.result, expected, atol=1e-6)
    for name, error in errors.items():
        (kept,) = (states.read(process.next.__name__, name) or {}).values()
        np.testing.assert_allclose(kept, error, atol=1e-6)


def test_a_residual_costs_the_plan_no_constant_of_its_size() -> None:
    plans = []
    for error_feedback in (False, True):
        process = TopKFactory(0.01, error_feedback=error_feedback).create(vector(100_000))
        plans.append(fed.compiled(process.next, process.initialize(), [np.zeros(100_000, np.float32)]).plan)
    assert len(plans[1].client) < len(plans[0].client) + 10_000


def test_structures_and_weights_go_through_compression() -> None:
    type_ = to_type({"kernel": (np.float32, [3, 2]), "bias": np.float32})
    given = [{"kernel": np.full((3, 2), 2.0, np.float32), "bias": 2.0}, {"kernel": np.ones((3, 2)), "bias": 1.0}]
    (output,) = rounds_of(MeanFactory(EncodedSumFactory(8)), type_, given, weights=[1.0, 3.0])
    np.testing.assert_allclose(output.result["kernel"], np.full((3, 2), 1.25), atol=0.03)
    np.testing.assert_allclose(output.result["bias"], 1.25, atol=0.03)


@pytest.mark.parametrize("factory", COMPRESSED, ids=str)
def test_zeros_stay_zeros(factory: Any) -> None:
    np.testing.assert_array_equal(total(factory, [np.zeros(30, np.float32)] * 2), np.zeros(30))


def test_what_is_below_the_threshold_is_summed_as_it_is() -> None:
    (value,) = values(1)
    np.testing.assert_array_equal(total(EncodedSumFactory.quantize_above_threshold(), [value]), value)


PROCESS = EncodedSumFactory(8).create(vector(8))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=8, max_size=8))
def test_any_vector_comes_back_within_a_step(elements: list[float]) -> None:
    value = np.array(elements, np.float32)
    step = (max(value.max(), 0) - min(value.min(), 0)) / 255
    found = PROCESS.next(1, [value]).result
    assert np.abs(found - value).max() <= step * 1.001 + 1e-30


SIZES = {
    SumFactory(): 32.0,
    EncodedSumFactory(8): 8.25,
    EdenFactory(1): 1 + 1 / 64,
    EdenFactory(4): 4 + 1 / 64,
    TopKFactory(0.01): 0.64,
}


@pytest.mark.parametrize("factory", SIZES, ids=str)
def test_a_device_sends_so_many_bits_an_element(factory: Any) -> None:
    length = 8192
    assert abs(8 * sent_bytes(factory, length) / length - SIZES[factory]) < 0.05


def sent_bytes(factory: Any, length: int) -> int:
    """The size of the update that the plan of a round asks for."""
    from federated.compiler.planning import WORK
    from federated.contexts.plan import PlanContext
    from federated.contexts.python_values import denoted

    process, context = factory.create(vector(length)), PlanContext()
    parameter = process.next.type_signature.parameter
    given = (process.initialize(), [np.zeros(length, np.float32)])
    work = context._compile(process.next, denoted(parameter, given, 1)).plan.manifest.works[WORK]
    return sum(spec.size_bytes for spec in work.update_specs.values())


@pytest.mark.parametrize("factory", [EncodedSumFactory(9), EdenFactory(5), TopKFactory(0.0)], ids=str)
def test_settings_that_mean_nothing_are_refused(factory: Any) -> None:
    with pytest.raises(MisuseError):
        factory.create(vector(3))
    with pytest.raises(MisuseError, match="takes no weight"):
        fed.aggregators.EdenFactory(1).create(FLOAT, FLOAT)
