"""What a client counts for in a mean: its examples, one, or what a function makes of its metrics."""

import enum
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from federated.backends.tf_computation import tf_computation
from federated.language.types import StructType, Type
from federated.learning.client_work import ClientWork, followed_by, means_of


class ClientWeighting(enum.Enum):
    """The two usual weightings."""

    NUM_EXAMPLES = "num_examples"
    UNIFORM = "uniform"


Weighting = ClientWeighting | Callable[[Any], Any]
"""Or a function of a client's metrics, tensors by name as in `["client_work"]["train"]`, that gives 0 or more."""


def weighted_by(clients: ClientWork, weighting: Weighting) -> ClientWork:
    """The same work, whose `weight` is what a client counts for; 0 for one without examples.

    A `ClientWeighting` needs no other weight than the examples, and changes nothing here.
    """
    if isinstance(weighting, ClientWeighting):
        return clients
    function = weighting

    work_type = clients.work.type_signature.result
    assert isinstance(work_type, StructType)  # noqa: S101 - as `ClientWork` says
    metrics_type: Type = work_type["metrics"]

    @tf_computation(metrics_type)
    def weigh(sums: Any) -> Any:
        from federated.backends.mathematics import cast, where

        return where(sums["num_examples"] > 0, cast(function(means_of(sums)), "float32"), 0.0)

    return followed_by(
        clients,
        lambda done, _: OrderedDict(update=done.update, weight=weigh(done.metrics), metrics=done.metrics),
    )


def is_by_weight(weighting: Weighting) -> bool:
    """Whether clients differ in what they count for."""
    return weighting is not ClientWeighting.UNIFORM
