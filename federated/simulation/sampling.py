"""Who takes part in a round: drawn from a seed and the round's number alone, so that a run can be taken up anywhere."""

from collections.abc import Callable, Sequence

import numpy as np

from federated.simulation.errors import SimulationError

_COHORT, _DROPOUT, _ORDER, _NEXT, _DELAY = range(5)
"""What is drawn in a round, or for a client of an asynchronous run; each has a stream of its own, so that none changes
another.
"""


def build_uniform_sampling_fn(sample_range: Sequence[str], *, seed: int = 0) -> Callable[[int, int], list[str]]:
    """`(round_number, size) ->` so many different clients, each as likely as any other."""

    def sample(round_number: int, size: int) -> list[str]:
        if not 0 < size <= len(sample_range):
            raise SimulationError(f"a round needs 1 to {len(sample_range)} clients, found {size}")
        return cohort(sample_range, size, seed, round_number)

    return sample


def cohort(available: Sequence[str], size: int, seed: int, round_number: int) -> list[str]:
    """At most `size` of the clients that are there."""
    random = np.random.default_rng([seed, _COHORT, round_number])
    chosen = random.choice(len(available), min(size, len(available)), replace=False)
    return [available[index] for index in chosen]


def dropped(count: int, probability: float, seed: int, round_number: int) -> list[bool]:
    """For each of a cohort whether it is lost before it reports."""
    random = np.random.default_rng([seed, _DROPOUT, round_number])
    return [bool(lost) for lost in random.random(count) < probability]


def next_client(idle: Sequence[str], seed: int, number: int) -> str:
    """The client that begins as the number-th of an asynchronous run: any of the idle ones."""
    return idle[int(np.random.default_rng([seed, _NEXT, number]).integers(len(idle)))]


def delay_random(seed: int, number: int) -> np.random.Generator:
    """What decides how long the number-th client of an asynchronous run takes."""
    return np.random.default_rng([seed, _DELAY, number])


def order_seed(seed: int, round_number: int) -> int:
    """What decides the order of the clients' examples in a round."""
    return int(np.random.SeedSequence([seed, _ORDER, round_number]).generate_state(1)[0])
