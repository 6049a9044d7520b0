"""The algorithms, one paper a file."""

from federated.learning.algorithms.fed_avg import build_unweighted_fed_avg, build_weighted_fed_avg
from federated.learning.algorithms.fed_eval import build_fed_eval
from federated.learning.algorithms.fed_kmeans import build_fed_kmeans
from federated.learning.algorithms.fed_prox import build_unweighted_fed_prox, build_weighted_fed_prox
from federated.learning.algorithms.fed_sgd import build_fed_sgd
from federated.learning.algorithms.personalization import build_personalization_eval

__all__ = [
    "build_fed_eval",
    "build_fed_kmeans",
    "build_fed_sgd",
    "build_personalization_eval",
    "build_unweighted_fed_avg",
    "build_unweighted_fed_prox",
    "build_weighted_fed_avg",
    "build_weighted_fed_prox",
]
