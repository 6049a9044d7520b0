"""A Keras model to a plan of federated averaging: works `train` and `evaluate`, and the server's part around them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from model_export.convert import convert
from model_export.errors import SettingsError
from model_export.export import learner_of
from model_export.learner import SCALAR, Learner
from model_export.progress import Progress, silent
from model_export.server_part import CLIENT_LEARNING_RATE, SERVER_LEARNING_RATE, server_signatures
from model_export.signatures import conventional
from model_export.verify import verify_plan
from model_export.works import LEARNING_RATE, WEIGHT, make_client_part
from plans import contract
from plans.bundle import Plan
from plans.manifest import (
    FORMAT_VERSION,
    Aggregation,
    Group,
    Kind,
    Manifest,
    Order,
    Phase,
    Port,
    Role,
    Selector,
    StateTensor,
    Work,
)
from wire.tensors import Array, TensorSpec

_SCALAR_PORT = Port(TensorSpec("float32", ()), bound=SCALAR)
_DELTA = "delta"


def learning_plan(
    model: Any,
    *,
    name: str,
    loss: Any = None,
    optimizer: Any = None,
    batch_size: int,
    epochs: int = 1,
    metrics: Sequence[str] = ("accuracy",),
    server_learning_rate: float = 1.0,
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
        collection: the collection of a device's examples, whose fields are `x` and `y`.
        order: of the examples in training; an evaluation takes them as they are stored.

    Raises:
        ExportError: one of its kinds; nothing is exported in part.
    """
    if not np.isfinite(server_learning_rate) or type(epochs) is not int or epochs < 1:
        raise SettingsError(
            f"epochs must be an integer of at least 1 and server_learning_rate finite, found {epochs!r} and "
            f"{server_learning_rate!r}"
        )
    learner = learner_of(model, loss, optimizer, batch_size, metrics)
    part = make_client_part(learner)
    client = convert((*conventional(learner), *part.signatures()), part.variables, learner.model.layers, progress)
    server = convert(server_signatures(learner.parameter_specs), (), (), progress)
    progress("verify")
    verify_plan(client, server, learner, server_learning_rate)
    works = {
        "evaluate": _evaluate_work(learner, Selector(collection, {"x": "x", "y": "y"}, batch_size)),
        "train": _train_work(learner, Selector(collection, {"x": "x", "y": "y"}, batch_size, epochs, order)),
    }
    plan = Plan(_manifest(name, learner, works), client, server, _initial(learner, server_learning_rate))
    contract.check(plan)
    return plan


def _manifest(name: str, learner: Learner, works: Mapping[str, Work]) -> Manifest:
    state = {
        parameter.name: StateTensor(Port(parameter.spec), Group.PARAMETERS, parameter.path)
        for parameter in learner.model.parameters
    }
    state |= {
        rate: StateTensor(_SCALAR_PORT, Group.HYPERPARAMETERS) for rate in (CLIENT_LEARNING_RATE, SERVER_LEARNING_RATE)
    }
    return Manifest(
        format_version=FORMAT_VERSION,
        name=name,
        type=_type(state, works["train"]),
        state=state,
        phases=(Phase(dict(works)),),
        required_features=("begin_step_finish", "mean"),
        infer="infer",
    )


def _type(state: Mapping[str, StateTensor], work: Work) -> str:
    """`(<state>@SERVER,{<example>*}@CLIENTS -> <state>@SERVER)` in the federated language's notation."""
    server = ",".join(f"{name}={tensor.port.spec}" for name, tensor in state.items())
    example = ",".join(f"{name}={port.spec}" for name, port in work.inputs.items())
    return f"(<{server}>@SERVER,{{<{example}>*}}@CLIENTS -> <{server}>@SERVER)"


def _train_work(learner: Learner, selector: Selector) -> Work:
    parameters = _parameter_ports(learner)
    return Work(
        role=Role.TRAIN,
        begin="train_begin",
        step="train_step",
        finish="train_finish",
        broadcast=parameters | {LEARNING_RATE: _SCALAR_PORT},
        inputs=_example_ports(learner),
        example_weight="weight",
        selectors=(selector,),
        metrics=_metric_ports(learner),
        prepare="train_prepare",
        update=parameters | {WEIGHT: _SCALAR_PORT},
        update_state="train_update",
        aggregation=(Aggregation(_DELTA, Kind.MEAN, tuple(parameters), WEIGHT),),
    )


def _evaluate_work(learner: Learner, selector: Selector) -> Work:
    return Work(
        role=Role.EVALUATE,
        begin="evaluate_begin",
        step="evaluate_step",
        finish="evaluate_finish",
        broadcast=_parameter_ports(learner),
        inputs=_example_ports(learner),
        example_weight="weight",
        selectors=(selector,),
        metrics=_metric_ports(learner),
        prepare="evaluate_prepare",
    )


def _parameter_ports(learner: Learner) -> dict[str, Port]:
    return {name: Port(spec) for name, spec in learner.parameter_specs.items()}


def _example_ports(learner: Learner) -> dict[str, Port]:
    return {"x": Port(learner.model.example), "y": Port(TensorSpec("int32", ()))}


def _metric_ports(learner: Learner) -> dict[str, Port]:
    return {f"{name}_{part}": _SCALAR_PORT for name in learner.objective.measured for part in ("sum", "count")}


def _initial(learner: Learner, server_learning_rate: float) -> dict[str, Array]:
    rates = {CLIENT_LEARNING_RATE: learner.objective.learning_rate, SERVER_LEARNING_RATE: server_learning_rate}
    parameters = {parameter.name: parameter.value for parameter in learner.model.parameters}
    return parameters | {name: np.array(rate, np.float32) for name, rate in rates.items()}
