"""What robust means are, by hand; what they are told; and that lying clients do not move them far."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import federated as fed
from federated.language.errors import ExecutionError, MisuseError
from federated.language.robust_means import FORMULAS, PARAMETERS, count_of

KINDS: dict[str, dict[str, float]] = {
    "median": {},
    "trimmed_mean": {"fraction": 0.2},
    "krum": {"byzantine": 1},
    "geometric_median": {},
}
AT_CLIENTS = fed.FederatedType(np.float32, fed.CLIENTS)
PAIR = fed.FederatedType([("a", (np.float32, [2])), ("b", np.float32)], fed.CLIENTS)


def robust(kind: str, type_: Any = AT_CLIENTS, **parameters: float) -> Any:
    """The computation of a robust mean of values with weights."""
    return fed.federated_computation(
        lambda value, weight: fed.federated_robust_mean(value, kind, weight, **parameters), type_, AT_CLIENTS
    )


COMPUTATIONS = {kind: robust(kind, **parameters) for kind, parameters in KINDS.items()}


def test_robust_means_by_hand() -> None:
    values, ones = [1.0, 2.5, 3.0, 3.4, 100.0], [1.0] * 5
    # Krum's scores, each over the two nearest: 6.25, 1.06, 0.41, 0.97, …
    expected = {"median": 3.0, "trimmed_mean": (2.5 + 3.0 + 3.4) / 3, "krum": 3.0, "geometric_median": 3.0}
    for kind, computation in COMPUTATIONS.items():
        np.testing.assert_allclose(computation(values, ones), expected[kind], rtol=1e-5, err_msg=kind)


def test_multi_krum_is_the_mean_of_those_with_the_smallest_scores() -> None:
    multi = robust("krum", byzantine=1, selected=2)
    np.testing.assert_allclose(multi([1.0, 2.5, 3.0, 3.4, 100.0], [1.0] * 5), (3.0 + 3.4) / 2, rtol=1e-6)


def test_the_geometric_median_of_a_triangle_is_where_its_sides_are_seen_alike() -> None:
    corners: list[tuple[list[float], float]] = [([0.0, 0.0], 0.0), ([2.0, 0.0], 0.0), ([1.0, 3**0.5], 0.0)]
    values = [[np.array(point, np.float32), height] for point, height in corners]
    found = robust("geometric_median", PAIR)(values, [1.0] * 3)
    np.testing.assert_allclose(found["a"], [1.0, 1 / 3**0.5], atol=1e-5)


def test_all_tensors_of_a_value_are_one_vector() -> None:
    values = [[np.array([i, 0], np.float32), 0.0] for i in (0.0, 1.0, 2.0, 1.0)] + [
        [np.array([1, 0], np.float32), 50.0]
    ]
    found = robust("krum", PAIR, byzantine=1)(values, [1.0] * 5)
    assert (found["a"][0], found["b"]) == (1.0, 0.0)


@pytest.mark.parametrize("kind", KINDS)
@given(
    lies=st.floats(-(2.0**100), 2.0**100, width=32),
    values=st.lists(st.floats(-10, 10, width=32), min_size=6, max_size=8),
)
def test_one_lying_client_of_many_moves_no_robust_mean_beyond_the_others(
    kind: str, lies: float, values: list[float]
) -> None:
    found = COMPUTATIONS[kind]([*values, lies], [1.0] * (len(values) + 1))
    assert min(values) - 1e-4 <= found <= max(values) + 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_of_weight_zero_takes_no_part_whatever_its_value(kind: str) -> None:
    values = [1.0, 2.0, 4.0, 7.0, 11.0]
    with_it = COMPUTATIONS[kind]([*values, float("nan")], [1.0] * 5 + [0.0])
    assert with_it == COMPUTATIONS[kind](values, [1.0] * 5)


def test_weights_are_one_where_there_are_none() -> None:
    plain = fed.federated_computation(lambda value: fed.federated_robust_mean(value, "median"), AT_CLIENTS)
    assert plain([1.0, 5.0, 2.0, 4.0]) == 3.0


def test_a_fraction_is_the_one_that_was_written() -> None:
    assert [count_of(*one) for one in ((0.29, 100), (0.2, 10), (0.1, 9), (0.0, 5))] == [29, 2, 0, 0]


WRONG: dict[str, tuple[str, dict[str, float], str]] = {
    "an unknown kind": ("mode", {}, "one of geometric_median, krum, median, trimmed_mean, found 'mode'"),
    "too little said": ("krum", {}, "krum is told byzantine, selected=1; found nothing"),
    "too much said": ("median", {"fraction": 0.1}, "median is told nothing; found fraction"),
    "a fraction of a half": ("trimmed_mean", {"fraction": 0.5}, "fraction is within 0 and 0.499, found 0.5"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_has_no_meaning_is_refused_when_it_is_traced(name: str) -> None:
    kind, parameters, message = WRONG[name]
    with pytest.raises(MisuseError, match=message):
        robust(kind, **parameters)


def test_integers_and_vectors_of_weights_are_refused() -> None:
    with pytest.raises(MisuseError, match="federated_robust_mean takes floats, found int32"):
        robust("median", fed.FederatedType(np.int32, fed.CLIENTS))
    vectors = fed.FederatedType((np.float32, [2]), fed.CLIENTS)
    with pytest.raises(MisuseError, match="weight must be one number for each client"):
        fed.federated_computation(lambda v, w: fed.federated_robust_mean(v, "median", w), AT_CLIENTS, vectors)


def test_nobody_and_too_few_for_krum_are_errors() -> None:
    for computation in COMPUTATIONS.values():
        with pytest.raises(ExecutionError, match="all zero"):
            computation([1.0, 2.0], [0.0, 0.0])
    with pytest.raises(ExecutionError, match="takes more than 4, found 4"):
        COMPUTATIONS["krum"]([1.0, 2.0, 3.0, 4.0], [1.0] * 4)


def test_every_kind_has_a_formula_and_survives_being_written_down() -> None:
    assert FORMULAS.keys() == PARAMETERS.keys() == KINDS.keys()
    for computation in COMPUTATIONS.values():
        data = fed.serialize_computation(computation)
        again = fed.deserialize_computation(data)
        values, ones = [1.0, 2.0, 4.0, 7.0, 11.0], [1.0] * 5
        assert again(values, ones) == computation(values, ones)
