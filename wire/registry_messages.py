"""The documents of the model registry: what operators say and see of checkpoints. Moments are UTC seconds."""

import re
from dataclasses import dataclass, field

from wire.operator_messages import MAX_COUNT

RELEASED = "released"
_LABEL = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class RollbackRequest:
    """Ask that a task go on from one of its earlier checkpoints."""

    round_number: int

    def __post_init__(self) -> None:
        if not 0 <= self.round_number <= MAX_COUNT:
            raise ValueError(f"round_number is {self.round_number}; expected 0 to {MAX_COUNT}")


@dataclass(frozen=True)
class LabelView:
    """A label of a population, and the checkpoint that it is on."""

    population: str
    label: str
    task_id: str
    round_number: int
    labelled_at: float


@dataclass(frozen=True)
class LabelPage:
    """Labels, by population and name."""

    labels: tuple[LabelView, ...]
    next_cursor: str | None = None


@dataclass(frozen=True)
class TensorDifference:
    """How far one tensor of a state is from the same one of another.

    Attributes:
        norm, other_norm: the Euclidean norms of the two.
        difference_norm: of other − this.
        largest_difference: the largest magnitude of an element of it.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    norm: float
    other_norm: float
    difference_norm: float
    largest_difference: float


@dataclass(frozen=True)
class Comparison:
    """Two checkpoints of a task beside each other: their tensors, and the metrics of the rounds that made them."""

    task_id: str
    round_number: int
    other_round_number: int
    tensors: tuple[TensorDifference, ...]
    metrics: dict[str, float] = field(default_factory=dict)
    other_metrics: dict[str, float] = field(default_factory=dict)


def check_label(label: str) -> None:
    """Refuse, with a `ValueError`, what is no label."""
    if not _LABEL.fullmatch(label):
        raise ValueError(f"a label matches {_LABEL.pattern}, found {label[:100]!r}")
