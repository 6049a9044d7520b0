"""What is compared: each trains the same model on the same batches, in a process of its own."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks.models import BATCH_SIZE, LEARNING_RATE, Case
from wire.tensors import Array


class UnavailableError(Exception):
    """This contestant cannot run here; the message says why."""


class Contestant(Protocol):
    """One way to train a model."""

    runtime: str

    def step(self, x: Array, y: Array) -> float:
        """Train on one batch, and give its loss."""

    def save_and_restore(self) -> None:
        """Read every parameter, and write it back."""


class Exported:
    """Ours: a file of `model_export.export_model`, on the runtime of this environment."""

    def __init__(self, case: Case, file: Path) -> None:
        from plans.program import Program
        from plans.runtime import installed_runtime

        runtime = installed_runtime()
        self.runtime = f"{runtime.name} {runtime.version}"
        self._program = Program(file.read_bytes())
        self._weight = np.ones(BATCH_SIZE, np.float32)
        if "reset" in self._program.signatures and "seed" in self._program.inputs("reset"):
            self._program.call("reset", seed=np.array([1], np.int32))

    def step(self, x: Array, y: Array) -> float:
        return float(self._program.call("train", x=x, y=y, weight=self._weight)["loss"][0])

    def save_and_restore(self) -> None:
        saved = self._program.call("save", flag=np.ones(1, np.float32))
        self._program.call("restore", **saved)


class TensorFlow:
    """A `tf.function` around Keras's model, TensorFlow's gradient and plain SGD; XLA compiles it if asked."""

    def __init__(self, case: Case, file: Path, *, jit_compile: bool = False) -> None:
        tf, self.model = _tensorflow(case)
        self.runtime = f"tensorflow {tf.__version__}"
        self._tf = tf
        self._function = tf.function(lambda x, y: _keras_step(tf, self.model, x, y), jit_compile=jit_compile)

    def step(self, x: Array, y: Array) -> float:
        return float(self._function(self._tf.constant(x), self._tf.constant(y)))

    def save_and_restore(self) -> None:
        self.model.set_weights(self.model.get_weights())


class Flex:
    """The official way: the same `tf.function`, converted with TensorFlow's own kernels (Flex) in the file."""

    def __init__(self, case: Case, file: Path) -> None:
        tf, model = _tensorflow(case)
        self.runtime = f"tensorflow {tf.__version__}, Flex"
        specs = [tf.TensorSpec((BATCH_SIZE, *case.shape), name="x"), tf.TensorSpec((BATCH_SIZE,), tf.int32, name="y")]
        function = tf.function(lambda x, y: {"loss": _keras_step(tf, model, x, y)}, input_signature=specs)
        model.train_on_device = function
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], model)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
        converter.experimental_enable_resource_variables = True
        try:
            interpreter = tf.lite.Interpreter(model_content=converter.convert(), num_threads=1)
            self._runner = interpreter.get_signature_runner("serving_default")
            self.step(np.zeros((BATCH_SIZE, *case.shape), np.float32), np.zeros(BATCH_SIZE, np.int32))
        except Exception as error:  # the converter raises several kinds, the interpreter RuntimeError
            reason = str(error).strip().partition("\n")[0].partition(". ")[0]
            raise UnavailableError(f"TensorFlow {tf.__version__}: {reason}") from error

    def step(self, x: Array, y: Array) -> float:
        return float(self._runner(x=x, y=y)["loss"])

    def save_and_restore(self) -> None:
        """Nothing: the tutorial's Save and Restore write files."""


class Torch:
    """PyTorch, eager, with its own SGD."""

    def __init__(self, case: Case, file: Path) -> None:
        import torch

        torch.set_num_threads(1)
        self.runtime = f"torch {torch.__version__}"
        self._torch, self._model, self._is_image = torch, case.torch(), len(case.shape) > 1
        self._loss = torch.nn.CrossEntropyLoss()
        self._optimizer = torch.optim.SGD(self._model.parameters(), LEARNING_RATE)

    def step(self, x: Array, y: Array) -> float:
        images = self._torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)) if self._is_image else x)
        self._optimizer.zero_grad()
        loss = self._loss(self._model(images), self._torch.from_numpy(y).long())
        loss.backward()
        self._optimizer.step()
        return float(loss.detach())

    def save_and_restore(self) -> None:
        saved = {name: value.clone() for name, value in self._model.state_dict().items()}
        self._model.load_state_dict(saved)


def _tensorflow(case: Case) -> tuple[Any, Any]:
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(1)
    return tf, case.keras()


def _keras_step(tf: Any, model: Any, x: Any, y: Any) -> Any:
    # Keras 2, which TensorFlow 2.15 has with its Flex, keeps TensorFlow's variables; Keras 3 wraps them.
    kept = model.trainable_variables
    variables = [variable if isinstance(variable, tf.Variable) else variable.value for variable in kept]
    with tf.GradientTape() as tape:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, model(x, training=True))
        loss = tf.reduce_mean(losses)
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        variable.assign_sub(LEARNING_RATE * gradient)
    return loss


CONTESTANTS: Mapping[str, Callable[[Case, Path], Contestant]] = {
    "exported": Exported,
    "tensorflow": TensorFlow,
    "tensorflow_xla": lambda case, file: TensorFlow(case, file, jit_compile=True),
    "flex": Flex,
    "torch": Torch,
}


def batches(case: Case, count: int = 8) -> list[tuple[Array, Array]]:
    """Random batches, the same for every contestant."""
    random = np.random.default_rng(1)
    return [
        (
            random.standard_normal((BATCH_SIZE, *case.shape)).astype(np.float32),
            random.integers(0, case.classes, BATCH_SIZE).astype(np.int32),
        )
        for _ in range(count)
    ]


def cpu_seconds() -> float:
    """What this process has computed so far, over all threads."""
    return time.process_time()
