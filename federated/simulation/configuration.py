"""A simulation as a TOML file: which model, whose data, which algorithm, how many rounds.

    rounds = 100                        [model]                     [data]
    clients_per_round = 10              keras = "model.keras"       npz = "digits.npz"
    batch_size = 20                     loss = "…"                  x = "pixels"
    seed = 1
    directory = "run"                   [algorithm]                 [client_optimizer]
                                        name = "fed_prox"           name = "adam"
    [evaluation]                        proximal_strength = 0.1     learning_rate = 0.01
    clients = 20                        [results]
                                        plot = ["evaluation/loss"]

Paths are relative to the file. A key that nothing reads is refused, so that a slip of the pen cannot go unseen.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from federated.learning import algorithms, optimizers
from federated.learning.models import FunctionalModel, functional_model_from_keras
from federated.learning.process import LearningProcess
from federated.simulation import outputs
from federated.simulation.datasets import sources
from federated.simulation.datasets.client_data import ClientData
from federated.simulation.errors import SimulationError
from federated.simulation.evaluation import Evaluate, build_evaluation_fn
from federated.simulation.outputs import Output

_ROUNDS = {
    "rounds": int,
    "clients_per_round": int,
    "batch_size": int,
    "epochs": int,
    "max_examples": int,
    "seed": int,
    "dropout": float,
    "checkpoint_every": int,
}
_OPTIMIZERS: Mapping[str, Callable[..., optimizers.Optimizer]] = {
    "adagrad": optimizers.build_adagrad,
    "adam": optimizers.build_adam,
    "rmsprop": optimizers.build_rmsprop,
    "sgdm": optimizers.build_sgdm,
    "yogi": optimizers.build_yogi,
}
_SOURCES: Mapping[str, Callable[..., ClientData]] = {
    "directory": sources.from_directory,
    "npz": sources.from_npz,
    "parquet": sources.from_parquet,
    "sqlite": sources.from_sqlite,
}


@dataclass(frozen=True)
class Simulation:
    """What a file asks for.

    Attributes:
        options: the arguments of `federated.simulation.train` that it gives.
        model_path: the Keras model's file.
        outputs: what else becomes of the rounds.
        directory: where everything goes.
    """

    process: LearningProcess
    data: ClientData
    options: Mapping[str, Any]
    evaluate: Evaluate | None
    evaluate_every: int
    outputs: Sequence[Output]
    model_path: Path
    directory: Path


def read(path: Path) -> Simulation:
    """The simulation of a file, its model loaded.

    Raises:
        SimulationError: the file is no TOML, lacks something, or says something that nothing reads.
        DataError: the data cannot be read.
    """
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SimulationError(f"{path} cannot be read: {error}") from error
    given = _Section(path, "", table)
    options = {name: given.take(name, kind) for name, kind in _ROUNDS.items() if name in table}
    for name in ("rounds", "clients_per_round"):
        if name not in options:
            raise SimulationError(f"{path} does not say {name}", fix=f"add {name} = 10 at the top")
    model_path, model = _model(given.section("model"))
    client, server = (_optimizer(given.section(f"{who}_optimizer")) for who in ("client", "server"))
    process = _process(model, given.section("algorithm"), client, server)
    data = _data(given.section("data"))
    measured = given.section("evaluation")
    count, every = measured.take("clients", int, 0), measured.take("every", int, 10)
    evaluate: Evaluate | None = None
    if count:
        data, held_out = data.train_test_client_split(count, options.get("seed", 0))
        evaluate = build_evaluation_fn(process, model, held_out, batch_size=options.get("batch_size", 20))
    directory = path.parent / given.take("directory", str, path.stem)
    kept = _outputs(given.section("results"), directory)
    measured.end()
    given.end()
    return Simulation(process, data, options, evaluate, every, kept, model_path, directory)


class _Section:
    """A table of the file whose keys are taken one by one; what is left at the end is refused."""

    def __init__(self, path: Path, name: str, table: Mapping[str, Any]) -> None:
        self.folder = path.parent
        self._path, self._name, self._left = path, name, dict(table)

    def take(self, key: str, kind: type, otherwise: Any = None) -> Any:
        """A value of this kind; whole numbers are floats too."""
        value = self._left.pop(key, otherwise)
        if kind is float and type(value) is int:
            value = float(value)
        if value is not None and type(value) is not kind:
            raise SimulationError(f"{self._where(key)} is a {kind.__name__}, found {value!r}")
        return value

    def needed(self, key: str, kind: type) -> Any:
        """A value that has to be there."""
        value = self.take(key, kind)
        if value is None:
            raise SimulationError(f"{self._where(key)} is missing")
        return value

    def section(self, key: str) -> "_Section":
        """A table inside; an empty one where there is none."""
        return _Section(self._path, key, self.take(key, dict, {}))

    def rest(self) -> dict[str, Any]:
        """Everything that was not taken."""
        taken, self._left = self._left, {}
        return taken

    def end(self) -> None:
        """Refuse what was not taken."""
        if self._left:
            raise SimulationError(f"nothing reads {self._where(next(iter(self._left)))}", fix="mend or delete it")

    def _where(self, key: str) -> str:
        return f"{self._path.name}: {self._name + '.' if self._name else ''}{key}"


def _model(section: _Section) -> tuple[Path, FunctionalModel]:
    from federated.backends.keras_models import load_keras

    path = section.folder / section.needed("keras", str)
    loss, metrics = section.needed("loss", str), section.take("metrics", list, [])
    section.end()
    if not path.is_file():
        raise SimulationError(f"there is no model {path}")
    return path, functional_model_from_keras(load_keras(path), loss, metrics=metrics)


def _data(section: _Section) -> ClientData:
    chosen = {name: path for name in _SOURCES if (path := section.take(name, str)) is not None}
    scale = section.take("scale", float, 1.0)
    if len(chosen) != 1:
        raise SimulationError(f"data is one of {', '.join(_SOURCES)}, found {', '.join(chosen) or 'none'}")
    ((name, path),) = chosen.items()
    data: ClientData = _called(_SOURCES, name, {"path": section.folder / path, **section.rest()}, "data source")
    return data if scale == 1 else data.preprocess(lambda x, y: (x.astype(np.float32) * np.float32(scale), y))


def _optimizer(section: _Section) -> optimizers.Optimizer | None:
    name = section.take("name", str)
    if name is None:
        section.end()
        return None
    made: optimizers.Optimizer = _called(_OPTIMIZERS, name, section.rest(), "optimizer")
    return made


def _process(
    model: FunctionalModel,
    section: _Section,
    client: optimizers.Optimizer | None,
    server: optimizers.Optimizer | None,
) -> LearningProcess:
    name, is_weighted = section.take("name", str, "fed_avg"), section.take("is_weighted", bool, True)
    strength = section.take("proximal_strength", float)
    section.end()
    client = client or optimizers.build_sgdm(0.1)
    match name:
        case "fed_avg":
            build = algorithms.build_weighted_fed_avg if is_weighted else algorithms.build_unweighted_fed_avg
            return build(model, client, server)
        case "fed_prox":
            prox = algorithms.build_weighted_fed_prox if is_weighted else algorithms.build_unweighted_fed_prox
            return prox(model, 0.1 if strength is None else strength, client, server)
        case "fed_sgd":
            return algorithms.build_fed_sgd(model, server)
    raise SimulationError(f"there is no algorithm {name!r}; there are fed_avg, fed_prox and fed_sgd")


def _called(known: Mapping[str, Callable[..., Any]], name: str, arguments: Mapping[str, Any], what: str) -> Any:
    if name not in known:
        raise SimulationError(f"there is no {what} {name!r}; there are {', '.join(known)}")
    try:
        return known[name](**arguments)
    except TypeError as error:
        raise SimulationError(f"the {what} {name!r} cannot be made of {dict(arguments)}: {error}") from error


def _outputs(section: _Section, directory: Path) -> list[Output]:
    made: list[Output] = []
    if section.take("parquet", bool, False):
        made.append(outputs.table(directory / "rounds.parquet"))
    if section.take("tensorboard", bool, False):
        made.append(outputs.tensorboard(directory / "tensorboard"))
    if metrics := section.take("plot", list, []):
        made.append(outputs.plot(directory / "rounds.png", [str(name) for name in metrics]))
    section.end()
    return made
