"""`fedelta export weights`: a checkpoint of a task as the Keras model that was trained."""

import argparse
import os
from pathlib import Path

from model_export.commands import refusals
from model_export.errors import ExportError
from model_export.quiet import quiet_libraries
from model_export.weights import write_weights
from wire.command import Command

_NAME = "export weights"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL.keras", help="the model that was exported")
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FILE", help="a checkpoint (safetensors)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .keras or a .weights.h5 file")
    parser.add_argument("--errors", choices=("text", "json"), default="text", help="how to report an error on stderr")


def _run(arguments: argparse.Namespace) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start is not news
    try:
        with quiet_libraries():
            write_weights(arguments.model, arguments.checkpoint, arguments.out)
    except ExportError as error:
        return refusals.report(_NAME, error, as_json=arguments.errors == "json")
    print(f"{arguments.out}: {arguments.model} with the values of {arguments.checkpoint}")
    return 0


COMMAND = Command(_NAME, "Put a checkpoint's values into the Keras model it came from.", _add_arguments, _run)
