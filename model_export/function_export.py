"""Any TensorFlow functions to one TFLite file with builtin ops only, verified against TensorFlow.

The functions become signatures that share state; what they take and give comes back as ports, for a manifest to hold.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from model_export import garbage
from model_export.convert import convert
from model_export.function import ExportedFunctions, Function, Ports, draft
from model_export.ports import check_name, port_of
from model_export.progress import Progress, silent
from model_export.verify_function import verify_functions
from plans.manifest import Port
from wire.tensors import Array, Tensors, TensorSpec


def export_functions(
    functions: Mapping[str, Function], *, state: Mapping[str, Any] | None = None, progress: Progress = silent
) -> ExportedFunctions:
    """Export functions as the signatures of one file, and hold each against TensorFlow.

    Args:
        functions: by the signature's name. They are verified in this order, again and again on one state.
        state: the variables' initial values. A new file, and every `Program` of it, starts with these.

    Raises:
        FunctionError: a function, a tensor or a state that no plan can hold.
        UnsupportedOpError, ConversionError, ProgramFileError: see `model_export.convert`.
        VerificationError: TensorFlow and the file compute different numbers.

    Example:
        >>> def add(state, value):
        ...     state["total"].assign_add(value)
        >>> def read(state):
        ...     return {"total": state["total"]}
        >>> export_functions(
        ...     {"add": Function(add, {"value": TensorSpec("float32", ())}), "read": Function(read)},
        ...     state={"total": np.float32(0)},
        ... )
    """
    initial = {name: _initial(name, value) for name, value in (state or {}).items()}
    with garbage.old_objects_aside():
        exported = _converted(functions, initial, progress)
        garbage.give_back()
        progress("verify")
        verify_functions(exported, functions, initial)
        garbage.give_back()
    return exported


def _converted(
    functions: Mapping[str, Function], initial: Mapping[str, Array], progress: Progress
) -> ExportedFunctions:
    variables = {name: tf.Variable(value, name=name) for name, value in initial.items()}
    drafts = [draft(name, function, variables) for name, function in functions.items()]
    tflite = convert([one.signature for one in drafts], list(variables.values()), (), progress)
    return ExportedFunctions(tflite, {one.signature.name: Ports(one.inputs, one.outputs) for one in drafts})


def export_function(
    body: Callable[..., Mapping[str, Any] | None],
    *,
    inputs: Mapping[str, TensorSpec | Port],
    state: Mapping[str, Any] | None = None,
    name: str = "call",
    samples: Sequence[Tensors] = (),
) -> ExportedFunctions:
    """`export_functions` for one function."""
    return export_functions({name: Function(body, inputs, samples=samples)}, state=state)


def _initial(name: str, value: Any) -> Array:
    where = f"state {name!r}"
    check_name(where, name)
    array = np.asarray(value, np.float32 if isinstance(value, float) else None)
    port_of(where, TensorSpec(str(array.dtype), array.shape))
    return array
