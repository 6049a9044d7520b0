"""`fedelta simulate`: federated learning on this machine, as a TOML file says."""

import argparse
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from federated.cli import table
from federated.language.errors import FederatedError
from wire.command import Command

MODEL = "model.keras"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG.toml", help="what is simulated")
    parser.add_argument("--threads", type=int, help="how many clients train at once (one a core)")
    parser.add_argument("--no-progress", action="store_true", help="show no bar")


def _run(arguments: argparse.Namespace) -> int:
    try:
        return _simulate(arguments)
    except ModuleNotFoundError as error:
        print(f"fedelta simulate needs {error.name}: pip install 'fedelta[export]'", file=sys.stderr)
        return 2
    except FederatedError as error:
        error.where = None  # the user wrote no program here
        print(f"error: {error}", file=sys.stderr)
        return 1


def _simulate(arguments: argparse.Namespace) -> int:
    with _uncollected():
        from federated.backends.keras_models import save_keras
    from federated.contexts.entering import plan_context
    from federated.simulation.configuration import read
    from federated.simulation.training import TABLE, train

    asked = read(arguments.config)
    with plan_context(threads=arguments.threads):
        result = train(
            asked.process,
            asked.data,
            **asked.options,
            evaluate=asked.evaluate,
            evaluate_every=asked.evaluate_every,
            directory=asked.directory,
            outputs=asked.outputs,
            show_progress=not arguments.no_progress,
        )
    weights = asked.process.get_model_weights(result.state)
    save_keras(asked.directory / MODEL, asked.model_path, weights.trainable, weights.non_trainable)
    names = sorted({name for one in result.rounds for name in one.evaluation if not name.startswith("num_")})
    measured = [one for one in result.rounds if one.evaluation]
    rows = [[str(one.round_number), *(f"{one.evaluation[name]:.4f}" for name in names)] for one in measured]
    if rows:
        print(table.aligned(["round", *(f"evaluation {name}" for name in names)], rows))
    abandoned = sum(one.outcome == "abandoned" for one in result.rounds)
    print(f"{len(result.rounds)} rounds, {abandoned} abandoned")
    print(f"rounds      {asked.directory / TABLE}")
    print(f"model       {asked.directory / MODEL}")
    return 0


@contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no garbage among the objects that TensorFlow makes when it is imported: a seventh of that time."""
    is_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_enabled:
            gc.enable()


COMMAND = Command("simulate", "train on this machine, as a TOML file says", _add_arguments, _run)
