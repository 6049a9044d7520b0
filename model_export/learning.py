"""A Keras model to a plan of federated averaging: works `train` and `evaluate`, and the server's part around them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from model_export.convert import convert
from model_export.errors import SettingsError, UnsupportedModelError
from model_export.export import learner_of
from model_export.file_variables import FileVariable, specs
from model_export.learner import SCALAR, SEED, Learner
from model_export.losses import Labels
from model_export.progress import Progress, silent
from model_export.server_part import CLIENT_LEARNING_RATE, SERVER_LEARNING_RATE, ServerPart
from model_export.signatures import conventional
from model_export.verify import verify_plan
from model_export.works import PROXIMAL, STATISTICS_WEIGHT, WEIGHT, ClientPart, make_client_part
from plans import contract
from plans.bundle import Plan
from plans.manifest import (
    FORMAT_VERSION,
    Aggregation,
    Group,
    Kind,
    Manifest,
    Order,
    Pass,
    Phase,
    Port,
    Role,
    Selector,
    StateTensor,
    Work,
    features_of,
)
from wire.tensors import Array, TensorSpec

_SCALAR_PORT = Port(TensorSpec("float32", ()), bound=SCALAR)
_DELTA = "delta"
_STATISTICS = "statistics"


def learning_plan(
    model: Any,
    *,
    name: str,
    loss: Any = None,
    optimizer: Any = None,
    batch_size: int,
    epochs: int = 1,
    metrics: Sequence[Any] = ("accuracy",),
    server_learning_rate: float = 1.0,
    proximal: float | None = None,
    collection: str = "default",
    order: Order = Order.SHUFFLED,
    progress: Progress = silent,
) -> Plan:
    """A plan that trains and evaluates a Keras model on devices, verified against Keras.

    Args:
        model, loss, optimizer, batch_size, metrics: as for `model_export.export_model`. The optimizer's learning rate
            becomes the state tensor `client_learning_rate`, which a later checkpoint may change.
        epochs: how often a client goes through its examples in one round.
        server_learning_rate: 1 for federated averaging; see `model_export.server_part`.
        proximal: FedProx's μ, the state tensor `proximal`; None for no such term. See `model_export.works`.
        collection: the collection of a device's examples, whose fields are `x` and `y`.
        order: of the examples in training; an evaluation takes them as they are stored.

    Raises:
        ExportError: one of its kinds; nothing is exported in part.
    """
    _check_settings(epochs, server_learning_rate, proximal)
    learner = learner_of(model, loss, optimizer, batch_size, metrics)
    _check_metrics(learner)
    part = make_client_part(learner, proximal=proximal is not None)
    server_part = ServerPart(specs(learner.parameters), specs(learner.statistics), proximal is not None)
    client = convert((*conventional(learner), *part.signatures()), part.variables, learner.model.layers, progress)
    server = convert(server_part.signatures(), (), (), progress)
    rates = {CLIENT_LEARNING_RATE: learner.objective.learning_rate, SERVER_LEARNING_RATE: server_learning_rate}
    rates |= {} if proximal is None else {PROXIMAL: proximal}
    progress("verify")
    verify_plan(client, server, learner, rates)
    works = {
        "evaluate": _evaluate_work(learner, Selector(collection, {"x": "x", "y": "y"}, batch_size)),
        "train": _train_work(part, Selector(collection, {"x": "x", "y": "y"}, batch_size, epochs, order)),
    }
    plan = Plan(_manifest(name, learner, rates, works), client, server, _initial(learner, rates))
    contract.check(plan)
    return plan


def _check_settings(epochs: int, server_learning_rate: float, proximal: float | None) -> None:
    if not np.isfinite(server_learning_rate) or type(epochs) is not int or epochs < 1:
        raise SettingsError(
            f"epochs must be an integer of at least 1 and server_learning_rate finite, found {epochs!r} and "
            f"{server_learning_rate!r}"
        )
    if proximal is not None and not 0 <= proximal < np.inf:
        raise SettingsError(f"proximal must be a finite number of at least 0, found {proximal!r}")


def _check_metrics(learner: Learner) -> None:
    """A round reports scalars; a histogram would be two hundred of them."""
    for metric in learner.objective.metrics:
        if metric.measured != (metric.name,):
            raise UnsupportedModelError(
                f"metric {metric.name!r}",
                "its sums are vectors, and a plan's metrics are scalars",
                "leave it to the `evaluate` of an export_model",
            )


def _manifest(name: str, learner: Learner, rates: Mapping[str, float], works: Mapping[str, Work]) -> Manifest:
    groups = ((Group.PARAMETERS, learner.parameters), (Group.STATISTICS, learner.statistics))
    state = {one.name: StateTensor(Port(one.spec), group, one.path) for group, held in groups for one in held}
    state |= {rate: StateTensor(_SCALAR_PORT, Group.HYPERPARAMETERS) for rate in rates}
    return Manifest(
        format_version=FORMAT_VERSION,
        name=name,
        type=_type(state, works["train"]),
        state=state,
        phases=(Phase(dict(works)),),
        required_features=features_of(*works.values()),
        infer="infer",
    )


def _type(state: Mapping[str, StateTensor], work: Work) -> str:
    """`(<state>@SERVER,{<example>*}@CLIENTS -> <state>@SERVER)` in the federated language's notation."""
    server = ",".join(f"{name}={tensor.port.spec}" for name, tensor in state.items())
    example = ",".join(f"{name}={port.spec}" for name, port in work.passes[0].inputs.items())
    return f"(<{server}>@SERVER,{{<{example}>*}}@CLIENTS -> <{server}>@SERVER)"


def _train_work(part: ClientPart, selector: Selector) -> Work:
    learner = part.learner
    parameters, statistics = _ports(learner.parameters), _ports(learner.statistics)
    entries = [Aggregation(_DELTA, Kind.MEAN, tuple(parameters), WEIGHT)]
    weights = {WEIGHT: _SCALAR_PORT}
    if statistics:
        entries.append(Aggregation(_STATISTICS, Kind.MEAN, tuple(statistics), STATISTICS_WEIGHT))
        weights[STATISTICS_WEIGHT] = _SCALAR_PORT
    return Work(
        role=Role.TRAIN,
        begin="train_begin",
        passes=(_pass("train_step", learner, selector),),
        finish="train_finish",
        broadcast=parameters | statistics | dict.fromkeys(part.rates, _SCALAR_PORT),
        metrics=_metric_ports(learner),
        prepare="train_prepare",
        update=parameters | statistics | weights,
        update_state="train_update",
        aggregation=tuple(entries),
        seed=None if learner.seed is None else SEED,
    )


def _evaluate_work(learner: Learner, selector: Selector) -> Work:
    return Work(
        role=Role.EVALUATE,
        begin="evaluate_begin",
        passes=(_pass("evaluate_step", learner, selector),),
        finish="evaluate_finish",
        broadcast=_ports(learner.exchanged),
        metrics=_metric_ports(learner),
        prepare="evaluate_prepare",
    )


def _pass(step: str, learner: Learner, selector: Selector) -> Pass:
    return Pass(step, _example_ports(learner), selector, example_weight="weight")


def _ports(variables: Sequence[FileVariable]) -> dict[str, Port]:
    return {one.name: Port(one.spec) for one in variables}


def _example_ports(learner: Learner) -> dict[str, Port]:
    label = Port(learner.objective.label)
    if learner.objective.labels is Labels.CLASSES:
        # Any other number would have the loss 0 and teach nothing, without a word.
        label = Port(learner.objective.label, smallest=0, largest=learner.model.output.shape[-1] - 1)
    return {"x": Port(learner.model.example), "y": label}


def _metric_ports(learner: Learner) -> dict[str, Port]:
    return {f"{name}_{part}": _SCALAR_PORT for name in learner.objective.measured for part in ("sum", "count")}


def _initial(learner: Learner, rates: Mapping[str, float]) -> dict[str, Array]:
    exchanged = {one.name: one.bound_initial for one in learner.exchanged}
    return exchanged | {name: np.array(rate, np.float32) for name, rate in rates.items()}
