"""`fedelta export inspect`: what a plan or a TFLite file holds. Needs no TensorFlow."""

import argparse
import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from model_export.commands import refusals
from model_export.errors import ExportError, MissingTensorFlowError
from model_export.program_files import read_programs
from wire.command import Command

if TYPE_CHECKING:
    from model_export.inspection import Contents, SignatureContents

_NAME = "export inspect"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="a .plan or a .tflite")
    parser.add_argument("--json", action="store_true", help="print a JSON object, sizes in bytes")


def _run(arguments: argparse.Namespace) -> int:
    try:
        from model_export.inspection import inspect
    except ModuleNotFoundError as error:  # a device with tflite-runtime has no schema to read files with
        return refusals.report(_NAME, MissingTensorFlowError(str(error.name)))
    try:
        programs = {name: inspect(data) for name, data in read_programs(arguments.file).items()}
    except ExportError as error:
        return refusals.report(_NAME, error)
    if arguments.json:
        print(json.dumps({name: _document(contents) for name, contents in programs.items()}, indent=2))
    else:
        print("\n\n".join("\n".join(_lines(name, contents)) for name, contents in programs.items()))
    return 0


def _document(contents: "Contents") -> dict[str, object]:
    variables = {name: str(spec) for name, spec in contents.variables.items()}
    sizes = {"variables": variables, "variable_bytes": contents.variable_bytes}
    return dataclasses.asdict(dataclasses.replace(contents, variables={})) | sizes


def _lines(name: str, contents: "Contents") -> Iterator[str]:
    yield f"{name}: {contents.file_bytes:,} bytes, of which {contents.constant_bytes:,} are constants"
    yield f"  variables  {len(contents.variables)}, {contents.variable_bytes:,} bytes"
    for variable, spec in contents.variables.items():
        yield f"    {variable} {spec}"
    yield f"  signatures {len(contents.signatures)}"
    for signature in contents.signatures:
        yield from _signature_lines(signature)
    counts = ", ".join(f"{op} {count}" for op, count in contents.ops.items())
    yield f"  ops        {sum(contents.ops.values())}: {counts}"
    yield from (f"  PROBLEM    {problem}" for problem in contents.problems)


def _signature_lines(signature: "SignatureContents") -> Iterator[str]:
    yield f"    {signature.name}: {signature.ops} ops, about {signature.peak_tensor_bytes:,} bytes of tensors at once"
    yield f"      takes {_ports(signature.inputs)}"
    yield f"      gives {_ports(signature.outputs)}"


def _ports(ports: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {spec}" for name, spec in ports.items()) or "nothing"


COMMAND = Command(_NAME, "Show what a plan or a TFLite file holds.", _add_arguments, _run)
