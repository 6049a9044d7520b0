"""A simulation's sums beside the exact ones of a server, and how far ahead of them clients are read."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from federated.contexts.running import _in_order
from federated.contexts.simulated_sums import SimulatedSum
from plans.accumulators.wide import WideSum
from plans.errors import ContributionError
from plans.manifest import Port
from wire.tensors import Array, TensorSpec

SIZES = {"few": 64, "more": 5_000, "many": 40_000}


def ports(dtype: str = "float32") -> dict[str, Port]:
    return {name: Port(TensorSpec(dtype, (size,))) for name, size in SIZES.items()}


def updates(count: int) -> list[dict[str, Array]]:
    """Numbers of very different sizes and both signs, as updates are."""
    random = np.random.default_rng(3)
    return [
        {
            name: (random.normal(size=size) * 10.0 ** random.integers(-9, 2, size)).astype(np.float32)
            for name, size in SIZES.items()
        }
        for _ in range(count)
    ]


def test_sums_are_the_exact_ones_but_for_a_last_bit_in_ten_million() -> None:
    simulated, exact = SimulatedSum(ports()), WideSum(ports())
    for update in updates(50):
        simulated.accumulate(update)
        exact.accumulate(update)
    found, expected = simulated.finalize(), exact.finalize()
    assert np.array_equal(found["few"], expected["few"])
    assert np.array_equal(found["more"], expected["more"])
    assert np.mean(found["many"] != expected["many"]) <= 1e-4
    np.testing.assert_array_max_ulp(found["many"], expected["many"], 1)


def test_what_cancels_out_leaves_what_is_left() -> None:
    total = SimulatedSum(ports())
    for value in (1e20, 1.0, -1e20):
        total.accumulate({name: np.full(size, value, np.float32) for name, size in SIZES.items()})
    found = total.finalize()
    assert (found["few"] == 1).all()
    assert (found["more"] == 1).all()


def test_integers_are_exact_whatever_their_number() -> None:
    total = SimulatedSum(ports("int32"))
    for value in (2**31 - 1, 5, -(2**31) + 1):
        total.accumulate({name: np.full(size, value, np.int32) for name, size in SIZES.items()})
    assert all((value == 5).all() for value in total.finalize().values())


def test_partial_sums_merge() -> None:
    whole, first, second = (SimulatedSum(ports()) for _ in range(3))
    for place, update in enumerate(updates(6)):
        whole.accumulate(update)
        (first if place < 3 else second).accumulate(update)
    first.merge(second)
    for name, value in whole.finalize().items():
        np.testing.assert_array_max_ulp(first.finalize()[name], value, 1)


@pytest.mark.parametrize("name", SIZES)
def test_a_sum_that_does_not_fit_is_refused(name: str) -> None:
    total = SimulatedSum({name: ports()[name]})
    for _ in range(2):
        total.accumulate({name: np.full(SIZES[name], 3e38, np.float32)})
    with pytest.raises(ContributionError, match=f"'{name}' does not fit float32"):
        total.finalize()


def test_no_more_clients_are_read_than_are_needed_soon() -> None:
    read: list[int] = []

    def clients() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            yield number

    with ThreadPoolExecutor(2) as pool:
        ahead = [len(read) - done for done, _ in enumerate(_in_order(pool, lambda n, item: item, clients(), 4))]
    assert len(read) == 100
    assert max(ahead) <= 4
