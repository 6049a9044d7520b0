"""Private means: noise of the size that they say, bounded clients, and without noise the mean of clipped values."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import federated as fed
from federated.aggregators import DifferentiallyPrivateFactory, Mechanism, PrivateQuantileEstimationProcess
from federated.aggregators.differential_privacy import value_noise_multiplier
from federated.language.errors import MisuseError
from federated.language.types import to_type
from tests.federated.aggregators.rounds import FLOAT, rounds_of, vector
from tests.federated.learning.regression import CLIENTS, CONTEXTS, linear_model

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]

ELEMENTS = 20_000
SIX_SIGMA = 6
gaussian_fixed = DifferentiallyPrivateFactory.gaussian_fixed
gaussian_adaptive = DifferentiallyPrivateFactory.gaussian_adaptive


def clipped(value: Any, norm: float) -> Any:
    value = np.asarray(value, np.float64)
    return value * min(1.0, norm / max(float(np.linalg.norm(value)), 1e-30))


def test_without_noise_it_is_the_mean_of_the_clipped_values_over_the_fixed_number() -> None:
    values = [[3.0, 4.0], [0.3, -0.4], [0.0, 0.0]]
    (output,) = rounds_of(gaussian_fixed(0.0, clients_per_round=4, clip=2.0), vector(2), values)
    np.testing.assert_allclose(output.result, sum(clipped(value, 2.0) for value in values) / 4, atol=1e-6)
    assert output.measurements == {"clip": 2.0, "stddev": 0.0}


def test_without_noise_and_clipping_it_is_the_plain_mean() -> None:
    values = np.random.default_rng(2).normal(size=(8, 5))
    (output,) = rounds_of(gaussian_fixed(0.0, clients_per_round=8, clip=100.0), vector(5), list(values))
    np.testing.assert_allclose(output.result, values.mean(0), atol=1e-6)


def test_all_tensors_of_a_value_have_one_norm() -> None:
    type_ = to_type({"a": (np.float32, [1]), "b": np.float32})
    value = {"a": np.array([3], np.float32), "b": 4.0}
    (output,) = rounds_of(gaussian_fixed(0.0, 1, clip=1.0), type_, [value])
    np.testing.assert_allclose([output.result["a"][0], output.result["b"]], [0.6, 0.8], rtol=1e-6)


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize(("multiplier", "clients", "clip"), [(1.0, 5, 2.0), (0.3, 100, 10.0)])
def test_the_noise_is_of_the_size_that_the_mechanism_says(
    context: str, multiplier: float, clients: int, clip: float
) -> None:
    factory = gaussian_fixed(multiplier, clients, clip)
    process = factory.create(vector(ELEMENTS))
    with CONTEXTS[context]():
        output = process.next(process.initialize(), [np.zeros(ELEMENTS, np.float32)] * 2)
    told = factory.mechanism()
    assert told == Mechanism(multiplier, clip, clients)
    stddev = told.noise_multiplier * clip / told.clients_per_round
    assert abs(output.result.var() / stddev**2 - 1) < SIX_SIGMA * math.sqrt(2 / ELEMENTS)
    assert abs(output.result.mean()) < SIX_SIGMA * stddev / math.sqrt(ELEMENTS)
    assert output.measurements["stddev"] == pytest.approx(multiplier * clip)


CLIP = 1.5
LENGTH = 3
PROCESS = gaussian_fixed(0.0, clients_per_round=1, clip=CLIP).create(vector(LENGTH))


@settings(max_examples=25)
@given(
    others=st.lists(st.lists(st.floats(-1e4, 1e4, width=32), min_size=LENGTH, max_size=LENGTH), max_size=4),
    one=st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=LENGTH, max_size=LENGTH),
)
def test_one_client_changes_the_sum_before_the_noise_by_the_clip_at_most(others: Any, one: Any) -> None:
    cohorts = [[np.array(value, np.float32) for value in cohort] for cohort in (others, [*others, one])]
    without, with_it = (PROCESS.next(PROCESS.initialize(), cohort).result for cohort in cohorts)
    assert np.linalg.norm(with_it.astype(np.float64) - without) <= CLIP * (1 + 1e-5) + 1e-6


@pytest.mark.parametrize("context", CONTEXTS)
def test_long_values_are_clipped_to_float32s_precision(context: str) -> None:
    process = gaussian_fixed(0.0, clients_per_round=1, clip=1.0).create(vector(300_000))
    value = np.random.default_rng(0).normal(size=300_000).astype(np.float32)
    with CONTEXTS[context]():
        output = process.next(process.initialize(), [value])
    assert np.linalg.norm(output.result.astype(np.float64)) == pytest.approx(1.0, abs=1e-5)


def test_an_adaptive_clip_without_noise_moves_as_the_paper_says() -> None:
    norms = [0.5, 2.0, 3.0, 4.0]
    factory = gaussian_adaptive(0.0, 4, initial_l2_norm_clip=1.0, target_unclipped_quantile=0.5)
    outputs = rounds_of(factory, vector(1), *[[[norm] for norm in norms]] * 3)
    clip = 1.0
    for output in outputs:
        np.testing.assert_allclose(output.measurements["clip"], clip, rtol=1e-6)
        np.testing.assert_allclose(output.result, [sum(min(norm, clip) for norm in norms) / 4], rtol=1e-6)
        clip *= math.exp(-0.2 * (sum(norm <= clip for norm in norms) / 4 - 0.5))


def test_an_adaptive_clip_comes_to_the_quantile_in_spite_of_its_noise() -> None:
    norms = np.exp(np.random.default_rng(1).normal(size=200)).astype(np.float32)
    factory = gaussian_adaptive(1.0, 200, initial_l2_norm_clip=0.1, target_unclipped_quantile=0.7)
    process = factory.create(vector(1))
    state, clips = process.initialize(), []
    for _ in range(80):
        output = process.next(state, norms[:, None])
        state = output.state
        clips.append(float(output.measurements["clip"]))
    # With σ_b = 10 of 200 clients, the last 30 clips have a standard error of about 0.03 of the estimate.
    assert np.mean(clips[-30:]) == pytest.approx(np.quantile(norms, 0.7), rel=0.2)
    assert len(set(clips)) == len(clips)


def test_noised_values_and_a_noised_count_are_as_private_as_one_noise() -> None:
    value = value_noise_multiplier(1.2, count_stddev=5.0)
    assert value > 1.2
    assert value**-2 + (2 * 5.0) ** -2 == pytest.approx(1.2**-2)
    factory = gaussian_adaptive(1.2, clients_per_round=100)
    assert factory.value_noise_multiplier == pytest.approx(value)
    assert factory.mechanism() == Mechanism(1.2, None, 100)


def test_the_count_of_a_quantile_is_noised() -> None:
    estimate = PrivateQuantileEstimationProcess.noised(1.0, 0.5, 1.0, clients_per_round=10, count_stddev=2.0)
    moves = []
    for _ in range(300):
        state = estimate.next(estimate.initialize(), [0.5] * 5 + [2.0] * 5)
        moves.append(-math.log(float(estimate.report(state))))
    # ln C moves by η (b̄ − γ), whose noise has the standard deviation 2 / 10.
    assert abs(np.var(moves) / 0.2**2 - 1) < SIX_SIGMA * math.sqrt(2 / 300)
    assert abs(np.mean(moves)) < SIX_SIGMA * 0.2 / math.sqrt(300)


@pytest.mark.parametrize(
    "factory",
    [fed.learning.dp_aggregator(0.0, 2), DifferentiallyPrivateFactory.tree_aggregation(0.0, 2, 1.0, rounds=3)],
    ids=["recommended", "tree"],
)
def test_it_trains_the_same_in_both_contexts_and_measures_nothing_else(factory: Any) -> None:
    process = fed.learning.algorithms.build_unweighted_fed_avg(
        linear_model(),
        fed.learning.optimizers.build_sgdm(0.05),
        model_aggregator=factory,
    )
    results = []
    for context in CONTEXTS.values():
        with context():
            state = process.initialize()
            for _ in range(2):
                state, metrics = process.next(state, CLIENTS)
        assert set(metrics["aggregator"]) == {"clip", "stddev"}
        results.append(np.concatenate([np.ravel(w) for w in process.get_model_weights(state).trainable]))
    np.testing.assert_allclose(results[0], results[1], atol=1e-6)


WRONG: dict[str, tuple[Any, str]] = {
    "a negative noise": (lambda: gaussian_fixed(-1.0, 10, 1.0), "a noise_multiplier is 0 or more, found -1.0"),
    "nobody": (lambda: gaussian_fixed(1.0, 0, 1.0), "clients_per_round is more than 0, found 0"),
    "a clip of zero": (lambda: gaussian_fixed(1.0, 10, 0.0), "clip is a norm above 0, found 0.0"),
    "a first clip of zero": (lambda: gaussian_adaptive(1.0, 100, 0.0), "initial_l2_norm_clip is a norm above 0"),
    "a count with too little noise": (
        lambda: gaussian_adaptive(1.0, clients_per_round=10),
        "a count with noise of 0.5 gives away more than a noise_multiplier of 1",
    ),
    "a weight": (lambda: gaussian_fixed(1.0, 10, 1.0).create(FLOAT, FLOAT), "takes no weight"),
    "integers": (lambda: gaussian_fixed(1.0, 10, 1.0).create(to_type(np.int32)), "takes floats"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_private_or_has_no_meaning_is_refused_when_it_is_made(name: str) -> None:
    made, message = WRONG[name]
    with pytest.raises(MisuseError, match=message):
        made()


tree_aggregation = DifferentiallyPrivateFactory.tree_aggregation


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_noise_of_all_rounds_of_a_tree_is_that_of_as_many_nodes_as_their_number_has_ones(context: str) -> None:
    process = tree_aggregation(2.0, clients_per_round=4, l2_norm_clip=0.5, rounds=6).create(vector(ELEMENTS))
    node = 2.0 * 0.5 / 4
    released, expected = np.zeros(ELEMENTS), 0
    with CONTEXTS[context]():
        state = process.initialize()
        for rounds in range(1, 11):
            output = process.next(state, [np.zeros(ELEMENTS, np.float32)])
            state = output.state
            released += output.result
            # After 6 rounds the tree ends: its two nodes stay, and a new tree begins.
            expected = rounds.bit_count() if rounds <= 6 else 2 + (rounds - 6).bit_count()
            assert abs(released.var() / (expected * node**2) - 1) < SIX_SIGMA * math.sqrt(2 / ELEMENTS), rounds
            assert output.measurements == {"clip": 0.5, "stddev": 1.0}


def test_a_tree_without_noise_gives_the_mean_of_clipped_values_in_every_round() -> None:
    cohorts = [[[3.0, 4.0], [0.3, -0.4]], [[1.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [5.0, 12.0]]]
    outputs = rounds_of(tree_aggregation(0.0, 2, 2.0), vector(2), *cohorts)
    for output, cohort in zip(outputs, cohorts, strict=True):
        np.testing.assert_allclose(output.result, sum(clipped(value, 2.0) for value in cohort) / 2, atol=1e-6)


def test_a_tree_remembers_a_noise_for_every_level_and_says_how_many_rounds_it_is_of() -> None:
    factory = tree_aggregation(1.5, 10, 1.0, rounds=1000)
    assert factory.mechanism() == Mechanism(1.5, 1.0, 10, tree_rounds=1000)
    type_ = to_type([("a", (np.float32, [3])), ("b", np.float32)])
    state = factory.create(type_).initialize()
    nodes = state["noise"]["nodes"]
    assert (nodes["a"].shape, nodes["b"].shape) == ((10, 3), (10,))


def test_a_round_of_a_tree_releases_what_its_path_allows() -> None:
    """The residuals of two rounds share the node that ended between them."""
    process = tree_aggregation(1.0, 1, 1.0, rounds=3).create(vector(ELEMENTS))
    state, results = process.initialize(), []
    for _ in range(2):
        output = process.next(state, [np.zeros(ELEMENTS, np.float32)])
        state = output.state
        results.append(output.result.astype(np.float64))
    first, second = results
    assert abs((first * second).mean() + 1) < SIX_SIGMA * 2 / math.sqrt(ELEMENTS)  # ξ₀ and ξ₁ − ξ₀
    assert abs(second.var() / 2 - 1) < SIX_SIGMA * math.sqrt(2 / ELEMENTS)


def test_an_adaptive_clip_is_held_while_a_tree_grows() -> None:
    norms = [0.5, 2.0, 3.0, 4.0]
    factory = DifferentiallyPrivateFactory.tree_adaptive(0.0, 4, initial_l2_norm_clip=1.0, restart_frequency=3)
    assert factory.mechanism() == Mechanism(0.0, None, 4, tree_rounds=3)
    outputs = rounds_of(factory, vector(1), *[[[norm] for norm in norms]] * 7)
    estimate, held = 1.0, []
    for number in range(7):
        if number % 3 == 0:
            held.append(estimate)
        estimate *= math.exp(-0.2 * (sum(norm <= estimate for norm in norms) / 4 - 0.5))
        np.testing.assert_allclose(outputs[number].measurements["clip"], held[-1], rtol=1e-6)
        np.testing.assert_allclose(outputs[number].result, [sum(min(n, held[-1]) for n in norms) / 4], rtol=1e-5)
    assert len(set(held)) == 3


@pytest.mark.parametrize("rounds", [0, 1 << 20])
def test_a_tree_has_room_for_a_million_rounds(rounds: int) -> None:
    with pytest.raises(MisuseError, match="a tree is of 1 to 1,048,575 rounds"):
        tree_aggregation(1.0, 10, 1.0, rounds=rounds)
