"""What can go wrong when a model is exported.

ExportError
├── MissingTensorFlowError the [export] extra is not installed
├── FileError              a file cannot be read, or is not what its name says
│   └── ModelFileError     it is not a Keras model that can be loaded safely
├── SettingsError          a setting is missing, unknown or of the wrong type
├── UnsupportedModelError  a layer, loss, optimizer or metric that would train differently on a device
├── FunctionError          a function whose tensors or state no plan can hold
├── UnsupportedOpError     an op without a builtin form, found before the conversion
├── LoweringError          a lowering does not cover this form of its op; leaves as an UnsupportedOpError
├── ConversionError        the TFLite converter refused what was lowered
├── ProgramFileError       the finished file holds what a device's runtime cannot run
└── VerificationError      the finished file and Keras compute different numbers
"""

from typing import Any


class ExportError(Exception):
    """The root of this package's errors."""


class MissingTensorFlowError(ExportError):
    """Exporting needs TensorFlow and Keras, which the [export] extra brings."""

    def __init__(self, missing: str) -> None:
        super().__init__(f"exporting needs {missing}, which is not installed: pip install 'fedelta[export]'")
        self.missing = missing


class FileError(ExportError):
    """A file cannot be read, or is not what its name says."""


class ModelFileError(FileError):
    """A file is not a Keras model, or one that runs code of its own when loaded."""


class SettingsError(ExportError):
    """A setting of an export is missing, unknown or of the wrong type."""


class UnsupportedModelError(ExportError):
    """A layer, loss, optimizer or metric that this version cannot train correctly; `where` names it."""

    def __init__(self, where: str, problem: str, remedy: str) -> None:
        super().__init__(f"{where}: {problem}; {remedy}")
        self.where = where


class FunctionError(ExportError):
    """A function takes, gives or keeps what no plan can hold; `where` names the function and the tensor."""

    def __init__(self, where: str, problem: str, remedy: str) -> None:
        super().__init__(f"{where}: {problem}; {remedy}")
        self.where = where


class UnsupportedOpError(ExportError):
    """A TensorFlow op has no form in TFLite's builtin ops.

    Attributes:
        op_type: TensorFlow's name of the op, such as `Erfinv`.
        op_name: the op's name in the traced graph.
        layer: the Keras layer that the op, or the op it is a gradient of, belongs to; empty if none does.
        source: where it was written, as `file.py:12`; empty if that is inside a library.
        reason: why it has none, as in "draws random numbers".
    """

    def __init__(self, op_type: str, op_name: str, layer: str, source: str, reason: str) -> None:
        place = f"layer {layer!r}" if layer else "outside any layer"
        written = f", written at {source}" if source else ""
        super().__init__(
            f"the op {op_type} ({op_name}, {place}{written}) {reason}; register a lowering with "
            f"model_export.register_lowering({op_type!r}), or replace the layer"
        )
        self.op_type = op_type
        self.op_name = op_name
        self.layer = layer
        self.source = source
        self.reason = reason


class LoweringError(ExportError):
    """A lowering does not cover this form of its op; the message says which, as in "convolves in groups".

    Attributes:
        chain: the calls that lead to the op, and the op; filled in on the way out.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.chain: tuple[Any, ...] = ()


class ConversionError(ExportError):
    """TensorFlow's TFLite converter refused a program whose every op should have had a builtin form."""


class ProgramFileError(ExportError):
    """A TFLite file holds what a device cannot run: a custom op, or a form that a runtime gets wrong.

    Attributes:
        problems: every finding, a sentence each.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("the TFLite file would not run on a device: " + "; ".join(problems))
        self.problems = problems


class VerificationError(ExportError):
    """A signature of the exported file and its reference, Keras or TensorFlow, compute different numbers.

    Attributes:
        signature, tensor: where they differ.
        difference: the largest absolute difference; `tolerance` is what was allowed.
    """

    def __init__(
        self, signature: str, tensor: str, difference: float, tolerance: float, reference: str = "Keras"
    ) -> None:
        super().__init__(
            f"{signature}: {tensor} differs from {reference} by {difference:.3g}, more than the {tolerance:.3g} "
            "allowed: such a file must not be used. Please report it"
        )
        self.signature = signature
        self.tensor = tensor
        self.difference = difference
        self.tolerance = tolerance
