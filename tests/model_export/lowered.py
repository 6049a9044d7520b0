"""Many small functions, lowered and converted once into one file, and run on the interpreter."""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from model_export.convert import convert
from model_export.progress import silent
from model_export.signature import Signature
from plans.program import Program
from wire.tensors import Array


class Lowered:
    """Signatures as a device runs them, beside the same functions as TensorFlow runs them."""

    def __init__(self, signatures: Sequence[Signature]) -> None:
        self._signatures = {signature.name: signature for signature in signatures}
        self.tflite = convert(signatures, (), (), silent)
        self._program = Program(self.tflite)

    def on_device(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return self._program.call(name, **inputs)

    def in_tensorflow(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        function = tf.function(self._signatures[name].body, autograph=False)
        outputs = function(**{key: tf.constant(value) for key, value in inputs.items()})
        return {key: value.numpy() for key, value in outputs.items()}
