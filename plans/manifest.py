"""The record of a plan: everything a round needs, as data.

A manifest says what crosses the network, which signature does what, and how updates are summed. It is written down
whole from the first format on: what a plan may say and this version does not yet do is part of the record, and
`check_supported` refuses it by name, so that no device ever runs half of a plan.

Tensors have two specs. The *logical* one is what the computation means (`int64`, `float32[]`); the *bound* one is what
the signature takes, because a phone's runtime has no rank-0 inputs. `plans.program` alone converts.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from plans.errors import InvalidPlanError, UnsupportedPlanError
from wire import codec
from wire.errors import MessageError
from wire.tensors import NAME_PATTERN, TensorSpec

FORMAT_VERSION = 1

# What a reader of this version can do. A plan lists what it needs; a device declines one it does not know.
FEATURES = frozenset({"begin_step_finish", "mean", "sum"})


class Role(StrEnum):
    """What a client work is for."""

    TRAIN = "train"
    EVALUATE = "evaluate"
    ANALYTICS = "analytics"
    PERSONALISE = "personalise"


class Group(StrEnum):
    """What a tensor of the server's state is; only the first two may come from a device."""

    PARAMETERS = "parameters"
    STATISTICS = "statistics"
    SLOTS = "slots"
    HYPERPARAMETERS = "hyperparameters"
    OTHER = "other"


class Kind(StrEnum):
    """How the values of many clients become one."""

    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    MODULAR_SUM = "modular_sum"
    SECURE_SUM = "secure_sum"
    MEDIAN = "median"
    TRIMMED_MEAN = "trimmed_mean"
    KRUM = "krum"
    GEOMETRIC_MEDIAN = "geometric_median"
    CUSTOM = "custom"


class Order(StrEnum):
    """The order in which a selector gives its examples."""

    STORED = "stored"
    SHUFFLED = "shuffled"


class Operator(StrEnum):
    """The comparisons of the filter grammar."""

    EQUAL = "eq"
    NOT_EQUAL = "ne"
    LESS = "lt"
    LESS_EQUAL = "le"
    GREATER = "gt"
    GREATER_EQUAL = "ge"


@dataclass(frozen=True)
class Port:
    """One tensor that enters or leaves a signature: its logical spec, and the bound one where they differ.

    Attributes:
        smallest, largest: the range of the values that an input means anything for, such as a class's number.
    """

    spec: TensorSpec
    bound: TensorSpec | None = None
    smallest: int | None = None
    largest: int | None = None

    @property
    def at_runtime(self) -> TensorSpec:
        """The spec that the signature itself has."""
        return self.bound or self.spec


@dataclass(frozen=True)
class StateTensor:
    """One tensor of the server's state. `path` is what the model's author calls it (`conv2d/kernel`)."""

    port: Port
    group: Group
    path: str = ""


@dataclass(frozen=True)
class Condition:
    """`field operator value`, one clause of a selector's filter; clauses are joined by *and*."""

    field: str
    operator: Operator
    value: Any


@dataclass(frozen=True)
class Selector:
    """Which examples of a device's store go through `step`, in batches of what size and how often.

    Attributes:
        inputs: the signature's input for each field of the collection, as {input: field}.
        limit: at most so many examples; None for all.
        epochs: how many times the selection is gone through.
    """

    collection: str
    inputs: dict[str, str]
    batch_size: int
    epochs: int = 1
    order: Order = Order.STORED
    limit: int | None = None
    filter: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Step:
    """Something done to values before they are summed (clip, encode, mask, noise), with its parameters."""

    kind: str
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Aggregation:
    """How some tensors of the updates become one.

    A `mean` is two sums, of weight x value and of the weight; `finish` has multiplied and `update` divides. Sums are
    integers modulo 2^bits: a value v counts as round(v x 2^fraction_bits).

    Attributes:
        values: the update's tensors that this entry sums.
        weight: for a mean, the update's tensor that holds the weight.
        bound: the largest magnitude that one value may have; None for what the round's size leaves room for.
        denominator: `weight`, or `fixed` where privacy asks for a constant.
        signatures: for `custom`, the server's signatures {accumulate, merge, report}.
    """

    name: str
    kind: Kind
    values: tuple[str, ...]
    weight: str | None = None
    bits: int = 64
    fraction_bits: int = 32
    bound: float | None = None
    steps: tuple[Step, ...] = ()
    denominator: str = "weight"
    signatures: dict[str, str] = field(default_factory=dict)

    @property
    def tensors(self) -> tuple[str, ...]:
        """Every tensor of the update that this entry takes."""
        return self.values if self.weight is None else (*self.values, self.weight)


@dataclass(frozen=True)
class Work:
    """One thing that clients do in a round, and what the server does around it.

    The device owns the loop: `begin(broadcast, device state)`, `step(batch)` for every batch, `finish() -> update,
    metrics, device state`. The server has `prepare(state) -> broadcast` and `update(state, sums) -> state, metrics`.

    Attributes:
        begin, step, finish: names of signatures of `client.tflite`. `finish` takes a `flag`, because a phone's
            runtime has no signature without inputs.
        inputs: what `step` takes from the examples, one example's logical spec each (without the batch).
        example_weight: the input of `step` that is 1 for an example and 0 for padding.
        seed: the input of `begin` that takes the assignment's random seed, if it draws random numbers.
        prepare, update_state: names of signatures of `server.tflite`; no `update_state` where a round leaves the
            state as it is, as an evaluation does.
        temp: what `prepare` gives for `update_state` alone; it never leaves the server.
    """

    role: Role
    begin: str
    step: str
    finish: str
    broadcast: dict[str, Port]
    inputs: dict[str, Port]
    example_weight: str
    selectors: tuple[Selector, ...]
    metrics: dict[str, Port]
    prepare: str
    update: dict[str, Port] = field(default_factory=dict)
    update_state: str | None = None
    aggregation: tuple[Aggregation, ...] = ()
    device_state: dict[str, Port] = field(default_factory=dict)
    seed: str | None = None
    server_metrics: dict[str, Port] = field(default_factory=dict)
    temp: dict[str, Port] = field(default_factory=dict)

    @property
    def update_specs(self) -> dict[str, TensorSpec]:
        """The logical specs of what a device uploads."""
        return {name: port.spec for name, port in self.update.items()}

    @property
    def broadcast_specs(self) -> dict[str, TensorSpec]:
        """The logical specs of what a device downloads."""
        return {name: port.spec for name, port in self.broadcast.items()}


@dataclass(frozen=True)
class Phase:
    """One pass over one cohort: the works that clients may do in it, by name."""

    works: dict[str, Work]


@dataclass(frozen=True)
class Manifest:
    """A plan's record; see the module's description.

    Attributes:
        type: the computation's type in compact notation.
        infer: the signature of `client.tflite` that predicts with the parameters it was last given, if there is one.
    """

    format_version: int
    name: str
    type: str
    state: dict[str, StateTensor]
    phases: tuple[Phase, ...]
    required_features: tuple[str, ...] = ()
    infer: str | None = None

    @property
    def works(self) -> dict[str, Work]:
        """The works of a plan of one phase, the only kind that runs yet."""
        return self.phases[0].works

    @property
    def state_specs(self) -> dict[str, TensorSpec]:
        """The logical specs of the server's state."""
        return {name: tensor.port.spec for name, tensor in self.state.items()}

    def work(self, name: str) -> Work:
        """The work of that name, or an `InvalidPlanError` that lists those there are."""
        if name not in self.works:
            raise InvalidPlanError(
                f"the plan {self.name!r} has no work {name!r}; it has {', '.join(sorted(self.works))}"
            )
        return self.works[name]


def parse(data: bytes) -> Manifest:
    """The manifest that some JSON bytes hold, checked.

    A newer `format_version` is refused before anything else is read, because only its number is known to be there.

    Raises:
        InvalidPlanError: not a manifest, or one that contradicts itself.
        UnsupportedPlanError: a newer format.
    """
    try:
        document = codec.parse(data)
        version = document.get("format_version") if isinstance(document, dict) else None
        if type(version) is int and version > FORMAT_VERSION:
            raise UnsupportedPlanError(
                f"the plan has format {version}; this version reads up to {FORMAT_VERSION}: update fedelta"
            )
        manifest = codec.from_json(Manifest, document)
    except MessageError as error:
        raise InvalidPlanError(f"manifest.json: {error}") from None
    problem = next(_contradictions(manifest), None)
    if problem is not None:
        raise InvalidPlanError(f"manifest.json: {problem}")
    return manifest


def check_supported(manifest: Manifest) -> None:
    """Refuse a sound plan that asks for what this version does not do, naming it.

    Raises:
        UnsupportedPlanError: see above.
    """
    problem = next(_unsupported(manifest), None)
    if problem is not None:
        raise UnsupportedPlanError(f"the plan {manifest.name!r} needs {problem}, which this version does not do")


def _contradictions(manifest: Manifest) -> Iterator[str]:
    if manifest.format_version < 1:
        yield f"format_version is {manifest.format_version}; the first is 1"
    if not manifest.phases or not all(phase.works for phase in manifest.phases):
        yield "a plan has at least one phase, and a phase at least one work"
    yield from _bad_ports("state", {name: tensor.port for name, tensor in manifest.state.items()})
    for index, phase in enumerate(manifest.phases):
        for name, work in phase.works.items():
            where = f"phases[{index}].works.{name}"
            yield from (f"{where}: {problem}" for problem in _port_contradictions(work, manifest.state))
            yield from (f"{where}: {problem}" for problem in _work_contradictions(work))


def _port_contradictions(work: Work, state: Mapping[str, StateTensor]) -> Iterator[str]:
    for group in ("broadcast", "inputs", "update", "metrics", "device_state", "server_metrics", "temp"):
        yield from _bad_ports(group, getattr(work, group))
    for name, port in (work.metrics | work.server_metrics).items():
        if port.spec.shape != ():
            yield f"the metric {name!r} is {port.spec}; a metric is a scalar"
    if shared := (work.update.keys() & work.metrics.keys()) | (work.update.keys() & work.device_state.keys()):
        yield f"finish gives {_listed(shared)} for two purposes"
    if shared := work.server_metrics.keys() & state.keys():
        yield f"update gives {_listed(shared)} for two purposes"
    if work.seed is not None and work.seed in work.broadcast:
        yield f"begin takes {work.seed} for two purposes"
    if work.example_weight in work.inputs:
        yield f"step takes {work.example_weight} for two purposes"


def _work_contradictions(work: Work) -> Iterator[str]:
    taken = [name for entry in work.aggregation for name in entry.tensors]
    if sorted(taken) != sorted(work.update):
        found = f"update {_listed(work.update)}, aggregated {_listed(taken)}"
        yield f"every tensor of the update is aggregated once: {found}"
    if work.update and work.update_state is None:
        yield "an update is uploaded, but no update_state signature takes the sums"
    for selector in work.selectors:
        if selector.batch_size < 1 or selector.epochs < 1 or (selector.limit is not None and selector.limit < 1):
            yield "a selector's batch_size, epochs and limit are at least 1"
    for selector in work.selectors:
        if not NAME_PATTERN.fullmatch(selector.collection):
            yield f"the collection {selector.collection!r} does not match {NAME_PATTERN.pattern}"
    mapped = [name for selector in work.selectors for name in selector.inputs]
    if sorted(mapped) != sorted(work.inputs):
        yield f"the selectors fill {_listed(mapped)}, but step takes {_listed(work.inputs)}"
    for entry in work.aggregation:
        yield from _aggregation_contradictions(entry, work)


def _aggregation_contradictions(entry: Aggregation, work: Work) -> Iterator[str]:
    if (entry.kind is Kind.MEAN) != (entry.weight is not None):
        yield f"aggregation {entry.name!r}: a weight belongs to a mean, and a mean needs one"
    if entry.bits not in (32, 64) or not 0 <= entry.fraction_bits < entry.bits - 1:
        yield f"aggregation {entry.name!r}: bits are 32 or 64, and fraction_bits leave room for a sign and a unit"
    if entry.bound is not None and entry.bound <= 0:
        yield f"aggregation {entry.name!r}: a bound is positive"
    if entry.weight is not None and entry.weight in work.update and work.update[entry.weight].spec.shape != ():
        yield f"aggregation {entry.name!r}: the weight is a scalar"
    if bools := [name for name in entry.tensors if name in work.update and work.update[name].spec.dtype == "bool"]:
        yield f"aggregation {entry.name!r}: {_listed(bools)} is bool; what is summed is a number"


def _unsupported(manifest: Manifest) -> Iterator[str]:
    if unknown := sorted(set(manifest.required_features) - FEATURES):
        yield f"the feature {unknown[0]!r}"
    if len(manifest.phases) > 1:
        yield f"{len(manifest.phases)} phases over one cohort"
    for work in manifest.works.values():
        if work.device_state:
            yield "state that a device keeps between rounds"
        if work.temp:
            yield "server values that travel beside the round"
        if len(work.selectors) != 1:
            yield f"{len(work.selectors)} collections at once"
        if any(selector.filter for selector in work.selectors):
            yield "a filter over examples"
        for entry in work.aggregation:
            yield from _unsupported_aggregation(entry)


def _unsupported_aggregation(entry: Aggregation) -> Iterator[str]:
    if entry.kind not in (Kind.SUM, Kind.MEAN):
        yield f"the aggregation kind {entry.kind.value!r}"
    if entry.steps:
        yield f"the aggregation step {entry.steps[0].kind!r}"
    if entry.denominator != "weight":
        yield f"the denominator {entry.denominator!r}"
    if entry.bits != 64:  # noqa: PLR2004 - the width of the plain sums
        yield f"sums of {entry.bits} bits"


def _bad_ports(group: str, ports: Mapping[str, Port]) -> Iterator[str]:
    for name, port in ports.items():
        if not NAME_PATTERN.fullmatch(name):
            yield f"{group} has the tensor name {name!r}, which does not match {NAME_PATTERN.pattern}"
        if math.prod(port.spec.shape) != math.prod(port.at_runtime.shape):
            yield f"{group}.{name}: {port.at_runtime} does not hold the elements of {port.spec}"


def _listed(names: Any) -> str:
    return ", ".join(sorted(names)) or "nothing"
