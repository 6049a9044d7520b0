"""Robust kinds over kept updates: as the formulas say, in any order, from memory or a file, whatever liars send."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federated.language import robust_means
from plans.accumulators import rows as rows_module
from plans.accumulators.rows import Rows
from plans.accumulators.work import WorkAccumulator
from plans.consistency import check
from plans.errors import InvalidPlanError, TooFewUpdatesError, ZeroWeightError
from plans.manifest import Aggregation, Kind, Port, Work, check_supported, features_of
from tests.plans.linear import PLAN, TRAIN
from wire.tensors import Array, TensorSpec

PARAMETERS: dict[Kind, dict[str, float]] = {
    Kind.MEDIAN: {},
    Kind.TRIMMED_MEAN: {"fraction": 0.2},
    Kind.KRUM: {"byzantine": 2, "selected": 3},
    Kind.GEOMETRIC_MEDIAN: {"iterations": 32, "smoothing": 1e-6},
}
KINDS = list(PARAMETERS)


def work_of(kind: Kind, length: int = 3, **parameters: float) -> Work:
    update = {"a": Port(TensorSpec("float32", (length,))), "b": Port(TensorSpec("float32", ()))}
    entry = Aggregation("all", kind, ("a", "b"), weight="weight", parameters=PARAMETERS[kind] | parameters)
    return replace(TRAIN, update=update | {"weight": Port(TensorSpec("float32", ()))}, aggregation=(entry,))


def updates_of(vectors: Array, weights: Sequence[float] | None = None) -> list[dict[str, Array]]:
    vectors = np.asarray(vectors, np.float32)
    shares = [1.0] * len(vectors) if weights is None else weights
    return [
        {"a": vector[:-1], "b": vector[-1], "weight": np.asarray(weight, np.float32)}
        for vector, weight in zip(vectors, shares, strict=True)
    ]


def aggregated(work: Work, updates: Sequence[dict[str, Array]]) -> Array:
    running = WorkAccumulator(work, max(len(updates), 1))
    for update in updates:
        running.accumulate(update)
    found = running.finalize()
    return np.append(found["a"], found["b"])


def random_vectors(count: int, length: int = 4, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(count, length)).astype(np.float32)


def by_the_formula(kind: Kind, vectors: Array, weights: Any = None) -> Array:
    shares = np.ones(len(vectors)) if weights is None else np.asarray(weights)
    return robust_means.FORMULAS[kind.value](vectors.astype(np.float64), shares, PARAMETERS[kind])


@pytest.mark.parametrize("kind", KINDS)
@given(
    vectors=st.lists(st.lists(st.floats(-1e3, 1e3, width=32), min_size=4, max_size=4), min_size=7, max_size=9),
    seed=st.integers(0, 99),
)
def test_a_robust_mean_is_what_its_formula_says_in_any_order(kind: Kind, vectors: list[Any], seed: int) -> None:
    given_ = np.asarray(vectors, np.float32)
    order = np.random.default_rng(seed).permutation(len(given_))
    found = aggregated(work_of(kind), updates_of(given_))
    assert found.tobytes() == aggregated(work_of(kind), updates_of(given_[order])).tobytes()
    if kind in (Kind.MEDIAN, Kind.TRIMMED_MEAN):  # the others may choose otherwise between updates that are as good
        np.testing.assert_allclose(found, by_the_formula(kind, given_), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_partial_aggregates_merge(kind: Kind) -> None:
    vectors = random_vectors(9)
    halves = [WorkAccumulator(work_of(kind), 9) for _ in range(2)]
    for index, update in enumerate(updates_of(vectors)):
        halves[index % 2].accumulate(update)
    halves[0].merge(halves[1])
    found = halves[0].finalize()
    np.testing.assert_allclose(np.append(found["a"], found["b"]), by_the_formula(kind, vectors), rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_updates_in_a_file_and_in_small_blocks_give_the_same(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = random_vectors(12, length=101)
    expected = aggregated(work_of(kind, 100), updates_of(vectors))
    monkeypatch.setattr(rows_module, "_BLOCK_BYTES", 12 * 8 * 7)
    monkeypatch.setattr(Rows.__init__, "__defaults__", (1000,))
    np.testing.assert_allclose(aggregated(work_of(kind, 100), updates_of(vectors)), expected, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1e2, 1e15, 3e38])
def test_liars_of_any_size_do_not_take_the_others_digits_away(kind: Kind, size: float) -> None:
    honest, lies = random_vectors(10), np.full((2, 4), size, np.float32)
    found = aggregated(work_of(kind), updates_of(np.concatenate([lies, honest])))
    assert np.abs(found).max() <= np.abs(honest).max()
    if kind is Kind.KRUM:
        np.testing.assert_array_equal(found, by_the_formula(kind, np.concatenate([lies, honest])).astype(np.float32))


@pytest.mark.parametrize("kind", KINDS)
def test_an_update_of_weight_zero_takes_no_part(kind: Kind) -> None:
    vectors = random_vectors(8)
    weights = [1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    found = aggregated(work_of(kind), updates_of(vectors, weights))
    np.testing.assert_array_equal(found, aggregated(work_of(kind), updates_of(np.delete(vectors, 1, 0))))


def test_a_weight_counts_for_the_geometric_median_alone() -> None:
    vectors = random_vectors(8)
    weights = [5.0, 1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 3.0]
    for kind in KINDS:
        found = aggregated(work_of(kind), updates_of(vectors, weights))
        np.testing.assert_allclose(found, by_the_formula(kind, vectors, weights), rtol=1e-5)
        assert np.array_equal(found, aggregated(work_of(kind), updates_of(vectors))) is (
            kind is not Kind.GEOMETRIC_MEDIAN
        )


def test_hand_computed_means_of_numbers_on_a_line() -> None:
    vectors = np.array([[1.0], [2.5], [3.0], [3.4], [4.6], [7.0], [100.0]]) * np.ones((1, 4))
    # Krum's scores, each over the three nearest: 12.01, 3.31, 2.97, 2.41, 8.41, …, times four.
    expected = {
        Kind.MEDIAN: 3.4,
        Kind.TRIMMED_MEAN: (2.5 + 3.0 + 3.4 + 4.6 + 7.0) / 5,
        Kind.KRUM: (2.5 + 3.0 + 3.4) / 3,
        Kind.GEOMETRIC_MEDIAN: 3.4,
    }
    for kind, value in expected.items():
        np.testing.assert_allclose(aggregated(work_of(kind), updates_of(vectors)), np.full(4, value), rtol=1e-3)


def test_krum_of_too_few_and_a_mean_of_nothing_are_refused() -> None:
    with pytest.raises(TooFewUpdatesError, match="withstands 2 lying clients, so it takes more than 6 updates"):
        aggregated(work_of(Kind.KRUM), updates_of(random_vectors(6)))
    for kind in KINDS:
        with pytest.raises(ZeroWeightError, match="over 2 updates whose weights"):
            aggregated(work_of(kind), updates_of(random_vectors(2), [0.0, 0.0]))


def test_a_robust_plan_is_supported_and_says_that_it_is_one() -> None:
    manifest = replace(PLAN.manifest, phases=(replace(PLAN.manifest.phases[0], works={"train": robust_train()}),))
    check(manifest)
    check_supported(manifest)
    assert "robust" in features_of(robust_train())


def test_a_robust_kind_beside_a_secure_sum_contradicts_itself() -> None:
    work = robust_train()
    count = {"count": Port(TensorSpec("int32", ()))}
    hidden = Aggregation("hidden", Kind.SECURE_SUM, ("count",), fraction_bits=0, bound=1)
    both = replace(work, update=work.update | count, aggregation=(*work.aggregation, hidden))
    manifest = replace(PLAN.manifest, phases=(replace(PLAN.manifest.phases[0], works={"train": both}),))
    with pytest.raises(InvalidPlanError, match="median takes every client's value in the clear"):
        check(manifest)


def robust_train() -> Work:
    """The linear plan's work, with the median in the place of the mean."""
    (mean,) = TRAIN.aggregation
    return replace(TRAIN, aggregation=(replace(mean, kind=Kind.MEDIAN),))
