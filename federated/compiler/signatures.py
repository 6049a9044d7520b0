"""A program of a plan before it is written: its signatures, and the variables that they share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from federated.compiler.flat import Tensor
from federated.language.types import TensorType


class Batching(Enum):
    """How the inputs of a pass's `step` are batches: of one example, whose axis its tensors lack, or as they are."""

    ONE_EXAMPLE = auto()
    WHOLE = auto()


@dataclass(frozen=True)
class Signature:
    """One signature: what it takes, what it reads and writes of the variables, and what it gives.

    Attributes:
        inputs: tensors it is called with, by name.
        reads: variables it reads, and the tensors that they hold.
        writes: variables it assigns, after everything is computed.
        outputs: tensors it gives, by name.
        aliases: tensors that are an input's, by another name: {alias: input}.
        batching: how its inputs are batches, if they are.
    """

    name: str
    inputs: Mapping[str, Tensor] = field(default_factory=dict)
    reads: Mapping[str, Tensor] = field(default_factory=dict)
    writes: Mapping[str, Tensor] = field(default_factory=dict)
    outputs: Mapping[str, Tensor] = field(default_factory=dict)
    aliases: Mapping[Tensor, Tensor] = field(default_factory=dict)
    batching: Batching | None = None


@dataclass(frozen=True)
class ProgramDraft:
    """The signatures of one file, with the types of its variables."""

    signatures: tuple[Signature, ...]
    variables: Mapping[str, TensorType] = field(default_factory=dict)
