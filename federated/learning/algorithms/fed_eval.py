"""Federated evaluation: a model's loss and metrics on the examples of clients, which stay with them."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from federated.backends.tf_computation import tf_computation
from federated.language.computation import Computation, federated_computation
from federated.language.operators import federated_broadcast, federated_map, federated_sum, federated_zip
from federated.language.placements import CLIENTS, SERVER
from federated.language.types import FederatedType, SequenceType
from federated.learning.batches import batches_of
from federated.learning.client_work import evaluation_work, means_of
from federated.learning.models import FunctionalModel, ModelWeights


class Evaluation:
    """A federated evaluation.

    Args:
        classes: how many there are, where a label is the number of one; other labels are then refused.

    Attributes:
        computation: `(<weights=W@SERVER,data={B*}@CLIENTS> -> M@SERVER)`.
    """

    def __init__(self, computation: Computation, classes: int | None = None) -> None:
        self.computation = computation
        self._classes = classes

    def __call__(self, weights: ModelWeights, clients: Iterable[Iterable[Any]]) -> Any:
        """The metrics at `["eval"]` over all examples of some clients."""
        return self.computation(weights, batches_of(clients, self._classes))


def build_fed_eval(model: FunctionalModel) -> Evaluation:
    """The evaluation of a model."""
    work = evaluation_work(model)
    report = tf_computation(means_of, work.type_signature.result)

    @federated_computation(
        FederatedType(model.weights_type, SERVER), FederatedType(SequenceType(model.batch_type), CLIENTS)
    )
    def evaluate(weights: Any, data: Any) -> Any:
        sums = federated_map(lambda own: work(own[0], own[1]), (federated_broadcast(weights), data))
        return federated_zip(OrderedDict(eval=federated_map(report, federated_sum(sums))))

    return Evaluation(evaluate, model.classes)
