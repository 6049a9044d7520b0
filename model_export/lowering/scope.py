"""What the lowerings of one emitted body share: values worth building once, and what each variable holds by now.

One scope belongs to one emitted graph, whose ops always run together: calls are inlined, loops unrolled, and
one side of a branch taken or both computed, so a value that is built exists everywhere after.
"""

from collections.abc import Callable, Hashable
from typing import Any

import tensorflow as tf

from model_export.lowering.graphs import variable_spec


class Scope:
    """The memory of one emitted body; see the module's description."""

    def __init__(self) -> None:
        self._built: dict[Hashable, Any] = {}
        self._held: dict[Hashable, Any] = {}

    def once(self, key: Hashable, build: Callable[[], Any]) -> Any:
        """What `build` gave when this key was first asked for: a convolution and its gradient share patches so."""
        if key not in self._built:
            self._built[key] = build()
        return self._built[key]

    def read(self, handle: Any) -> Any:
        """The value that a variable holds at this point of the body, read once between two assignments."""
        key = handle.ref()
        if key not in self._held:
            shape, dtype = variable_spec(handle)
            value = tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype)
            value.set_shape(shape)
            self._held[key] = value
        return self._held[key]

    def assign(self, handle: Any, value: Any) -> None:
        """Assign a variable; later reads of this body get the value itself."""
        tf.raw_ops.AssignVariableOp(resource=handle, value=value)
        self._held[handle.ref()] = value
