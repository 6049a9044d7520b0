"""Rounds of an aggregator in two contexts that must agree."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from federated.aggregators.process import AggregationFactory
from federated.language.types import TensorType, Type, to_type
from tests.federated.contexts.agreement import agree

FLOAT = TensorType(np.float32)


def vector(length: int) -> Type:
    """float32[length]."""
    return to_type((np.float32, [length]))


def rounds_of(
    factory: AggregationFactory, value_type: Type, *cohorts: Sequence[Any], weights: Sequence[float] | None = None
) -> list[Any]:
    """The outputs of a round for every cohort of values, one round's state going into the next.

    Args:
        weights: for a weighted aggregator, the clients' weights, the same in every round; None for 1 each.
    """
    process = factory.create(value_type, FLOAT) if factory.is_weighted else factory.create(value_type)
    state, outputs = process.initialize(), []
    for cohort in cohorts:
        values = [np.asarray(one, np.float32) if not isinstance(one, dict) else one for one in cohort]
        given = ([1.0] * len(cohort) if weights is None else weights,) if factory.is_weighted else ()
        outputs.append(agree(process.next, state, values, *given))
        state = outputs[-1].state
    return outputs
