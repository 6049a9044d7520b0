"""The algorithms, one paper a file."""

from federated.learning.algorithms.ditto import build_ditto
from federated.learning.algorithms.fed_avg import build_unweighted_fed_avg, build_weighted_fed_avg
from federated.learning.algorithms.fed_avg_schedule import build_weighted_fed_avg_with_optimizer_schedule
from federated.learning.algorithms.fed_buff import build_fed_buff
from federated.learning.algorithms.fed_eval import build_fed_eval
from federated.learning.algorithms.fed_kmeans import build_fed_kmeans
from federated.learning.algorithms.fed_nova import build_fed_nova
from federated.learning.algorithms.fed_opt import build_fed_adagrad, build_fed_adam, build_fed_yogi
from federated.learning.algorithms.fed_prox import build_unweighted_fed_prox, build_weighted_fed_prox
from federated.learning.algorithms.fed_sgd import build_fed_sgd
from federated.learning.algorithms.mime_lite import build_unweighted_mime_lite, build_weighted_mime_lite
from federated.learning.algorithms.personalization import build_personalization_eval
from federated.learning.algorithms.scaffold import build_scaffold, build_stateless_scaffold

__all__ = [
    "build_ditto",
    "build_fed_adagrad",
    "build_fed_adam",
    "build_fed_buff",
    "build_fed_eval",
    "build_fed_kmeans",
    "build_fed_nova",
    "build_fed_sgd",
    "build_fed_yogi",
    "build_personalization_eval",
    "build_scaffold",
    "build_stateless_scaffold",
    "build_unweighted_fed_avg",
    "build_unweighted_fed_prox",
    "build_unweighted_mime_lite",
    "build_weighted_fed_avg",
    "build_weighted_fed_avg_with_optimizer_schedule",
    "build_weighted_fed_prox",
    "build_weighted_mime_lite",
]
