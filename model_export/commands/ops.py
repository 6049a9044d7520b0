"""`fedelta export ops`: which TensorFlow ops can be exported."""

import argparse
import os

from model_export.commands import refusals
from model_export.errors import MissingTensorFlowError
from model_export.quiet import quiet_libraries
from wire.command import Command

_NAME = "export ops"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--markdown", action="store_true", help="print the page docs/what-can-be-trained.md")


def _run(arguments: argparse.Namespace) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start is not news
    with quiet_libraries():
        try:
            from model_export import coverage
        except ModuleNotFoundError as error:
            return refusals.report(_NAME, MissingTensorFlowError(str(error.name)))
    print(coverage.markdown() if arguments.markdown else coverage.text(), end="" if arguments.markdown else "\n")
    return 0


COMMAND = Command(_NAME, "List the TensorFlow ops that can be exported.", _add_arguments, _run)
