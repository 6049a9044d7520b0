"""Clipping: no client changes the aggregate by more than a norm C, for v ← v · min(1, C / ‖v‖).

Sun, Kairouz, Suresh and McMahan, "Can You Really Backdoor Federated Learning?" (2019), section 4, as a defence; the
norm is fixed, or follows a quantile of the clients' norms (`federated.aggregators.quantile`).
"""

from typing import Any

from federated.aggregators.bounding import BoundingFactory
from federated.aggregators.process import AggregationFactory
from federated.aggregators.quantile import EstimationProcess, estimate_of
from federated.aggregators.sums import SumFactory


def clipping_factory(
    clipping_norm: float | EstimationProcess,
    inner_agg_factory: AggregationFactory,
    *,
    clipped_count_sum_factory: AggregationFactory | None = None,
) -> BoundingFactory:
    """Values of an L2 norm of at most C, which the inner aggregator aggregates.

    The measurements are the inner ones at `clipping`, the `clipping_norm`, and `clipped_count`, how many were clipped.

    Args:
        clipping_norm: C, over all tensors of a value together.
        clipped_count_sum_factory: sums the count; None for the plain sum.
    """
    count_sum = clipped_count_sum_factory or SumFactory()
    return BoundingFactory("clipping", "clipped", clip, estimate_of(clipping_norm), inner_agg_factory, count_sum)


def clip(tensors: list[Any], limit: Any) -> tuple[list[Any], Any, Any]:
    """A value's tensors scaled to at most that norm; its norm before, and whether it was more."""
    from federated.backends.mathematics import cast, global_norm, maximum, minimum

    norm = global_norm(tensors)
    scale = minimum(1.0, limit / maximum(norm, _SMALLEST))
    return [cast(scale, v.dtype) * v for v in tensors], norm, norm > limit


_SMALLEST = 1e-30  # a norm below has no direction left in float32, and nothing to clip
