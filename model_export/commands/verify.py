"""`fedelta export verify`: hold a plan or a TFLite file against the Keras model it should be an export of."""

import argparse
import os
from pathlib import Path

from model_export import settings as export_settings
from model_export.commands import refusals
from model_export.errors import ExportError
from model_export.quiet import quiet_libraries
from model_export.verify_file import verify_file
from wire.command import Command

_NAME = "export verify"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a .plan, or a .tflite with the signatures of an export"
    )
    parser.add_argument("--against", type=Path, required=True, metavar="MODEL.keras", help="the Keras model")
    parser.add_argument("--settings", type=Path, metavar="FILE.json", help="the settings it was exported with")
    parser.add_argument("--loss", help="the loss by name (default: the one the model was compiled with)")
    parser.add_argument("--learning-rate", type=float, help="as it was for fedelta export")
    parser.add_argument("--errors", choices=("text", "json"), default="text", help="how to report an error on stderr")


def _run(arguments: argparse.Namespace) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start is not news
    try:
        base = export_settings.Settings() if arguments.settings is None else export_settings.read(arguments.settings)
        changes = {"loss": arguments.loss, "learning_rate": arguments.learning_rate}
        with quiet_libraries():
            names = verify_file(arguments.file, arguments.against, export_settings.override(base, changes))
    except ExportError as error:
        return refusals.report(_NAME, error, as_json=arguments.errors == "json")
    print(f"{arguments.file}: {len(names)} signatures compute what {arguments.against} does: {', '.join(names)}")
    return 0


COMMAND = Command(_NAME, "Compare a plan or a TFLite file with the Keras model it came from.", _add_arguments, _run)
