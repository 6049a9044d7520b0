"""Zeroing: a value beyond a norm that no honest client reaches is taken for broken, and becomes zero.

As in TensorFlow Federated, the norm is the largest magnitude of an element unless said otherwise, and a value that is
not finite becomes zero too. The client still counts, as one that changed nothing.
"""

import math
from typing import Any

from federated.aggregators.bounding import BoundingFactory
from federated.aggregators.process import AggregationFactory
from federated.aggregators.quantile import EstimationProcess, estimate_of
from federated.aggregators.sums import SumFactory
from federated.language.errors import MisuseError


def zeroing_factory(
    zeroing_norm: float | EstimationProcess,
    inner_agg_factory: AggregationFactory,
    *,
    norm_order: float = math.inf,
    zeroed_count_sum_factory: AggregationFactory | None = None,
) -> BoundingFactory:
    """Values of a norm of at most `zeroing_norm`, zero for all others, which the inner aggregator aggregates.

    The measurements are the inner ones at `zeroing`, the `zeroing_norm`, and `zeroed_count`, how many became zero.

    Args:
        norm_order: infinity, or 2 for the L2 norm over all tensors of a value together.
        zeroed_count_sum_factory: sums the count; None for the plain sum.
    """
    if norm_order not in (2.0, math.inf):
        raise MisuseError(f"zeroing goes by the norm of order 2 or infinity, found {norm_order}")
    bound = _zero_by_magnitude if norm_order == math.inf else _zero_by_length
    count_sum = zeroed_count_sum_factory or SumFactory()
    return BoundingFactory("zeroing", "zeroed", bound, estimate_of(zeroing_norm), inner_agg_factory, count_sum)


def _zero_by_magnitude(tensors: list[Any], limit: Any) -> tuple[list[Any], Any, Any]:
    from federated.backends.mathematics import largest_magnitude

    return _zero(tensors, largest_magnitude(tensors), limit)


def _zero_by_length(tensors: list[Any], limit: Any) -> tuple[list[Any], Any, Any]:
    from federated.backends.mathematics import global_norm

    return _zero(tensors, global_norm(tensors), limit)


def _zero(tensors: list[Any], norm: Any, limit: Any) -> tuple[list[Any], Any, Any]:
    from federated.backends.mathematics import all_finite, logical_and, where, zeros_like

    # A maximum of NaN is not the same everywhere, so whether a value is finite is asked of its elements.
    is_kept = logical_and(norm <= limit, all_finite(tensors))
    kept = [where(is_kept, v, zeros_like(v)) for v in tensors]
    return kept, norm, where(is_kept, 0, 1)
