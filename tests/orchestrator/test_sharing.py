"""Rounds of several tasks share devices: what has begun fills first, and nobody waits for ever."""

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain import sharing
from orchestrator.domain.sharing import Claim

CLAIMS = st.lists(
    st.builds(Claim, st.none() | st.floats(0, 1e9), st.floats(1e-6, 1e6), st.integers(1, 1_000_000)),
    max_size=8,
)
DRAWS = st.lists(st.floats(0, 1, exclude_max=True), min_size=8, max_size=8)


def in_turn(claims: Sequence[Claim], draws: Sequence[float]) -> list[int]:
    return sharing.in_turn([(claim, place) for place, claim in enumerate(claims)], draws[: len(claims)])


@given(CLAIMS, DRAWS)
def test_every_round_has_its_turn_and_those_that_have_begun_go_first_by_age(
    claims: list[Claim], draws: list[float]
) -> None:
    order = in_turn(claims, draws)
    assert sorted(order) == list(range(len(claims)))
    began = [claims[place].first_assigned_at for place in order]
    begun = [at for at in began if at is not None]
    assert began[: len(begun)] == sorted(begun)


@given(CLAIMS.filter(bool), DRAWS, st.floats(1, 100))
def test_a_higher_priority_is_never_served_later(claims: list[Claim], draws: list[float], factor: float) -> None:
    raised = [Claim(claims[0].first_assigned_at, claims[0].priority * factor, claims[0].cohort), *claims[1:]]
    assert in_turn(raised, draws).index(0) <= in_turn(claims, draws).index(0)


@given(st.lists(st.floats(0, 1, exclude_max=True), max_size=20), st.floats(1e-3, 1e3), st.integers(1, 1000))
def test_clocks_ring_for_an_array_as_for_one(draws: list[float], priority: float, cohort: int) -> None:
    rings = sharing.finish(np.array(draws), priority, cohort)
    assert list(np.atleast_1d(rings)) == [sharing.finish(draw, priority, cohort) for draw in draws]


@pytest.mark.parametrize(
    ("priorities", "cohorts"), [((1, 1), (5, 5)), ((3, 1), (5, 5)), ((1, 1), (20, 2)), ((1, 2, 5), (4, 10, 7))]
)
def test_tasks_get_devices_in_proportion_to_their_priorities(
    priorities: tuple[float, ...], cohorts: tuple[int, ...]
) -> None:
    """Every task always has a round to fill, and every device fits all of them."""
    generator = random.Random(5)  # noqa: S311 - to be drawn again, not to be secret
    taken = [0] * len(priorities)
    began: list[float | None] = [None] * len(priorities)
    served = Counter[int]()
    for now in range(40_000):
        claims = [Claim(*one) for one in zip(began, priorities, cohorts, strict=True)]
        first = in_turn(claims, [generator.random() for _ in claims])[0]
        served[first] += 1
        taken[first] += 1
        began[first] = now if taken[first] == 1 else began[first]
        if taken[first] == cohorts[first]:
            taken[first], began[first] = 0, None
    shares = [served[task] / 40_000 for task in range(len(priorities))]
    assert shares == pytest.approx([priority / sum(priorities) for priority in priorities], abs=0.03)


def test_a_round_that_has_begun_fills_before_another_begins() -> None:
    claims = [Claim(None, 1e6, 1), Claim(7.0, 1e-6, 1_000_000), Claim(3.0, 1.0, 5)]
    assert all(in_turn(claims, [draw, 0.5, 0.5])[:2] == [2, 1] for draw in (0.0, 0.999))
