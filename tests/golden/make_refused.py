"""Makes the TFLite files that a runtime must not be trusted with: `python -m tests.golden.make_refused`.

`sum_of_rank_seven.tflite` is one that LiteRT's delegate first accepts and then refuses; `scalar_input.tflite` crashes
the runtimes of ARM devices. The exporter refuses both, so that TensorFlow's converter makes them directly.
"""

import tempfile
from pathlib import Path
from typing import Any

SUM_OF_RANK_SEVEN = Path(__file__).parent / "sum_of_rank_seven.tflite"
SCALAR_INPUT = Path(__file__).parent / "scalar_input.tflite"


def _program(shape: tuple[int, ...], reduced: list[int]) -> bytes:
    """`count(x)` counts its calls in a variable, as `add_up(x)` does, which also sums some axes of its input."""
    import tensorflow as tf

    calls = tf.Variable([0.0])

    def count(x: Any) -> dict[str, Any]:
        calls.assign_add([1.0])
        return {"calls": calls + x * 0.0}

    def add_up(x: Any) -> dict[str, Any]:
        calls.assign_add([1.0])
        return {"calls": tf.identity(calls), "sums": tf.reduce_sum(x, reduced)}

    module = tf.Module()
    module.calls = calls
    signatures = {
        "count": tf.function(count).get_concrete_function(tf.TensorSpec([1], name="x")),
        "add_up": tf.function(add_up).get_concrete_function(tf.TensorSpec(shape, name="x")),
    }
    with tempfile.TemporaryDirectory() as directory:
        tf.saved_model.save(module, directory, signatures=signatures)
        return bytes(tf.lite.TFLiteConverter.from_saved_model(directory, signature_keys=sorted(signatures)).convert())


if __name__ == "__main__":
    SUM_OF_RANK_SEVEN.write_bytes(_program((2,) * 7, [1, 3, 5]))
    SCALAR_INPUT.write_bytes(_program((), []))
