"""Ditto: each client has a model v of its own besides the global w, and trains it towards its examples and w at once.

Li, Hu, Beirami and Smith, "Ditto: Fair and Robust Federated Learning Through Personalization" (2021), section 3:

    v_k = argmin  F_k(v) + λ/2 ‖v − w*‖²        v ← v − η (∇F_k(v) + λ (v − w))

w is trained as if there were no v (any algorithm here), so v is found and measured by itself: each client starts at
v = w, takes the steps above through its batches, and evaluates w and v on its examples.

Departure: in the paper v goes on from where the client's last round left it. Here nothing stays at a client from one
round to the next, so v starts at w every time; give it several epochs. With λ = 0 this is `build_personalization_eval`.
"""

from federated.learning.algorithms.fed_eval import Evaluation
from federated.learning.algorithms.fed_prox import towards_the_server
from federated.learning.algorithms.personalization import evaluation_around
from federated.learning.client_work import training_work
from federated.learning.models import FunctionalModel
from federated.learning.optimizers import Optimizer


def build_ditto_eval(
    model: FunctionalModel, personal_strength: float, client_optimizer_fn: Optimizer, metric: str | None = None
) -> Evaluation:
    """The evaluation of w, at `["before"]`, and of the clients' v, at `["after"]`; see `build_personalization_eval`.

    Args:
        personal_strength: λ: the larger, the nearer v stays to w.
        client_optimizer_fn: makes the steps of v.
    """
    training = training_work(model, client_optimizer_fn, towards_the_server(personal_strength))
    return evaluation_around(model, training, metric)
