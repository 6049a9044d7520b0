"""The variables of an exported file, by the names under which signatures take and give them.

Inside, a variable is what Keras made it (an optimizer counts its steps in an `int64[]`); at a signature it has the form
that every runtime takes: at least rank 1, and `int32` for an integer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from wire.tensors import Array, TensorSpec


@dataclass(frozen=True)
class FileVariable:
    """One variable of a file.

    Attributes:
        path: what Keras calls it.
        variable: a `keras.Variable`.
        initial: its value in the file, and after `reset`.
    """

    name: str
    path: str
    variable: Any
    initial: Array

    @property
    def spec(self) -> TensorSpec:
        """The dtype and shape at a signature."""
        dtype = "int32" if self.initial.dtype.kind == "i" else str(self.initial.dtype)
        return TensorSpec(dtype, self.initial.shape or (1,))

    @property
    def bound_initial(self) -> Array:
        """The initial value as a signature takes it."""
        return self.initial.astype(self.spec.dtype).reshape(self.spec.shape)

    def read(self) -> Any:
        """The value as a signature gives it."""
        return tf.identity(tf.cast(tf.reshape(self.variable.value, self.spec.shape), self.spec.dtype))

    def assign(self, value: Any) -> None:
        """Take a value in a signature's form."""
        self.variable.assign(tf.cast(tf.reshape(value, self.initial.shape), self.variable.dtype))

    def reset(self) -> None:
        """Go back to the initial value, which is written as one number where it is one."""
        first = self.initial.flat[0] if self.initial.size else 0
        if np.all(self.initial == first):
            self.variable.assign(tf.fill(self.initial.shape, tf.constant(first, self.initial.dtype)))
        else:
            self.variable.assign(tf.constant(self.initial))


def file_variable(name: str, path: str, initial: Array) -> FileVariable:
    """A new variable of that value."""
    variable = keras.Variable(initial, dtype=str(initial.dtype), name=name)
    return FileVariable(name, path, variable, initial)


def specs(variables: Sequence[FileVariable]) -> dict[str, TensorSpec]:
    """The variables' specs at signatures, by name."""
    return {one.name: one.spec for one in variables}


def read_all(variables: Sequence[FileVariable]) -> dict[str, Any]:
    """The variables' values as a signature gives them, by name."""
    return {one.name: one.read() for one in variables}


def assign_all(variables: Sequence[FileVariable], values: Mapping[str, Any]) -> None:
    """Assign every variable from the inputs of a signature."""
    for one in variables:
        one.assign(values[one.name])
