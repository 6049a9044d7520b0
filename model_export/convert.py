"""Signatures to the bytes of one TFLite file, with builtin ops only."""

import tempfile
from collections.abc import Collection, Sequence
from typing import Any

import tensorflow as tf

from model_export import (
    builtin_ops,
    flat_products,
    flatbuffer,
    garbage,
    scalar_variables,
    shared_memory,
    variable_twice,
)
from model_export.errors import ConversionError
from model_export.progress import Progress
from model_export.signature import Signature, lower, trace

# What is changed in the converter's file, in this order.
_PASSES = (scalar_variables.give_rank, flat_products.flatten, variable_twice.separate, shared_memory.protect)


def convert(
    signatures: Sequence[Signature], variables: Sequence[Any], layers: Collection[str], progress: Progress
) -> bytes:
    """Trace, lower and convert signatures that share variables.

    Raises:
        UnsupportedOpError: an op has no builtin form.
        ConversionError: the converter refused the lowered program.
        ProgramFileError: the file holds what a device cannot run.
    """
    progress("trace")
    traced = [trace(signature) for signature in signatures]
    with garbage.old_objects_aside():
        progress("lower")
        functions = {one.signature.name: lower(one, layers) for one in traced}
        progress("convert")
        tflite = flatbuffer.changed(_convert(functions, variables), *_PASSES)
    builtin_ops.check(tflite)
    return tflite


def _convert(functions: dict[str, Any], variables: Sequence[Any]) -> bytes:
    module = tf.Module()
    module.variables_of_the_program = list(variables)
    with tempfile.TemporaryDirectory(prefix="fedelta-export-") as directory:
        tf.saved_model.save(module, directory, signatures=functions)
        converter = tf.lite.TFLiteConverter.from_saved_model(directory, signature_keys=sorted(functions))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.experimental_enable_resource_variables = True
        try:
            return bytes(converter.convert())
        except Exception as error:
            raise ConversionError(f"TensorFlow's converter refused the lowered program: {error}") from error
