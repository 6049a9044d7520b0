"""`fedelta export`: a `.keras` file to a plan. TensorFlow is loaded only when the command runs."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from model_export import settings as export_settings
from model_export.commands import refusals
from model_export.errors import ExportError
from model_export.model_file import plan_of_file
from model_export.progress import Progress, silent
from model_export.quiet import quiet_libraries
from plans.bundle import digest, pack
from wire.command import Command

_STAGES = (
    "load",
    "trace",
    "lower",
    "convert",
    "trace",
    "lower",
    "convert",
    "verify",
)  # the client's part, the server's


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Beside it stand `fedelta export inspect`, `fedelta export ops` and `fedelta export verify`."
    parser.add_argument("model", type=Path, metavar="MODEL.keras", help="the Keras model")
    parser.add_argument("--out", type=Path, required=True, metavar="NAME.plan", help="where to write the plan")
    parser.add_argument("--tflite", type=Path, metavar="FILE", help="write the client's TFLite file as well")
    parser.add_argument("--settings", type=Path, metavar="FILE.json", help="the options below as a JSON object")
    parser.add_argument("--errors", choices=("text", "json"), default="text", help="how to report an error on stderr")
    parser.add_argument("--name", help="the plan's name (default: the file's)")
    parser.add_argument("--loss", help="the loss by name (default: the one the model was compiled with)")
    parser.add_argument("--optimizer", help="the clients' by name, such as adam (default: the compiled one, or sgd)")
    parser.add_argument("--proximal", type=float, help="the weight of FedProx's proximal term (default: none)")
    parser.add_argument("--learning-rate", type=float, help="the clients' (default: the compiled optimizer's, or 0.05)")
    parser.add_argument("--batch-size", type=int, help="examples a step (default: 20)")
    parser.add_argument("--epochs", type=int, help="passes over a client's examples a round (default: 1)")
    parser.add_argument("--metric", action="append", dest="metrics", help="repeat for several (default: accuracy)")
    parser.add_argument("--server-learning-rate", type=float, help="1 is federated averaging (default: 1)")
    parser.add_argument("--collection", help="the devices' collection of examples (default: default)")


def _run(arguments: argparse.Namespace) -> int:
    as_json = arguments.errors == "json"
    try:
        settings = _settings(arguments)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start is not news
        with quiet_libraries(), _progress(quiet=as_json) as progress:
            plan = plan_of_file(arguments.model, settings, progress)
        data = pack(plan)
        if arguments.tflite is not None:
            _write(arguments.tflite, plan.client)
        _write(arguments.out, data)
    except ExportError as error:
        return refusals.report("export", error, as_json=as_json)
    print(f"{arguments.out}: plan {plan.manifest.name}, {len(data)} bytes, sha256 {digest(data)}")
    return 0


def _settings(arguments: argparse.Namespace) -> export_settings.Settings:
    base = export_settings.Settings() if arguments.settings is None else export_settings.read(arguments.settings)
    flags = (
        *("name", "loss", "optimizer", "learning_rate", "proximal", "batch_size", "epochs"),
        *("server_learning_rate", "collection"),
    )
    changes = {flag: getattr(arguments, flag) for flag in flags}
    metrics = None if arguments.metrics is None else tuple(arguments.metrics)
    return export_settings.override(base, changes | {"metrics": metrics})


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Progress]:
    if quiet:
        yield silent
        return
    with tqdm(total=len(_STAGES), unit="stage", file=sys.stderr, bar_format="{desc:10}{bar} {n}/{total}") as bar:

        def show(stage: str) -> None:
            bar.set_description(stage)
            bar.update()

        yield show


def _write(path: Path, data: bytes) -> None:
    """Write all or nothing: a reader never sees half a plan."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise ExportError(f"{path} cannot be written: {error.strerror}") from None


COMMAND = Command("export", "Make a plan of a Keras model.", _add_arguments, _run)
