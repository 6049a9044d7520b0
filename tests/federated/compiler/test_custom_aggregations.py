"""A custom aggregation counts the same updates to the same result, in one group or in several that are merged."""

from typing import Any, cast

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import federated as fed
from plans.accumulators.work import WorkAccumulator
from plans.program import Program
from tests.federated.compiler.draft_runner import DraftProgram, draft_of, run_draft
from tests.federated.numpy_computations import numpy_computation

VALUE = fed.to_type([np.int32, (np.int64, [2])])
ACCUMULATOR = fed.to_type([np.int32, (np.int64, [2]), np.bool_])


@numpy_computation([ACCUMULATOR, VALUE], ACCUMULATOR)
def accumulate(total: Any, value: Any) -> Any:
    return total[0] + value[0], np.maximum(total[1], value[1]), np.asarray(total[2] | (value[0] > 5))


@numpy_computation([ACCUMULATOR, ACCUMULATOR], ACCUMULATOR)
def merge(a: Any, b: Any) -> Any:
    return a[0] + b[0], np.maximum(a[1], b[1]), np.asarray(a[2] | b[2])


@numpy_computation(ACCUMULATOR, [(np.int64, [2]), np.int32, np.bool_])
def report(*total: Any) -> Any:
    return total[1] + 1, total[0], total[2]


@fed.federated_computation(fed.FederatedType(VALUE, fed.CLIENTS))
def custom(x: Any) -> Any:
    zero = (0, np.array([-(2**62), -(2**62)]), False)
    return fed.federated_aggregate(x, zero, accumulate, merge, report)


DRAFT = draft_of(custom, [])
WORK = DRAFT.manifest.phases[0].works["compute"]
_clients = st.lists(st.tuples(st.integers(-1000, 1000), st.integers(-(2**40), 2**40)), max_size=6)


def _aggregate(values: list[tuple[int, int]]) -> WorkAccumulator:
    accumulator = WorkAccumulator(WORK, 100, cast(Program, DraftProgram(DRAFT.server)))
    first, second = sorted(WORK.update)
    for small, large in values:
        accumulator.accumulate({first: np.asarray(small, np.int32), second: np.array([large, -large], np.int64)})
    return accumulator


@given(_clients, st.lists(_clients, max_size=3))
def test_groups_that_are_merged_come_to_what_one_group_does(
    first: list[tuple[int, int]], others: list[list[tuple[int, int]]]
) -> None:
    merged, everyone = _aggregate(first), list(first)
    for other in others:
        merged.merge(_aggregate(other))
        everyone += other
    whole = _aggregate(everyone).finalize()
    for name, value in merged.finalize().items():
        np.testing.assert_array_equal(value, whole[name])
    assert merged.count == len(everyone)


@given(_clients)
def test_a_draft_gives_what_the_local_context_gives(values: list[tuple[int, int]]) -> None:
    clients = [(small, [large, -large]) for small, large in values]
    for one, other in zip(custom(clients), run_draft(custom, clients), strict=True):
        np.testing.assert_array_equal(one, other)
