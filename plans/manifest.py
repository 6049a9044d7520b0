"""The record of a plan: everything a round needs, as data.

A manifest says what crosses the network, which signature does what, and how updates are summed. It is written down
whole from the first format on: what a plan may say and this version does not yet do is part of the record, and
`check_supported` refuses it by name, so that no device ever runs half of a plan. `plans.consistency` reads a manifest
and refuses one that contradicts itself.

Tensors have two specs. The *logical* one is what the computation means (`int64`, `float32[]`); the *bound* one is what
the signature takes, because a phone's runtime has no rank-0 inputs. `plans.program` alone converts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import Any

from plans.errors import InvalidPlanError, UnsupportedPlanError
from wire.tensors import TensorSpec, encoded_size

FORMAT_VERSION = 1

# What a reader of this version can do. A plan lists what it needs; a device declines one it does not know.
FEATURES = frozenset(
    {
        "correlated_noise",
        "custom_aggregation",
        "device_state",
        "extremes",
        "fixed_denominator",
        "mean",
        "newest",
        "noise",
        "passes",
        "result",
        "robust",
        "sum",
        "temp",
        "wide_sums",
    }
)

FIXED_POINT_BITS = 64
HAS_STATE = "has_state"  # what `begin` takes beside a device's state: 1 where there is one, 0 where it is all zeros
WIDE_BITS = 320  # a sum of this width holds every float32 and every int64 exactly
WIDE_FRACTION_BITS = 149  # 2^-149 is float32's smallest step


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

    @property
    def is_robust(self) -> bool:
        """Whether a few lying clients do not move it far; it takes clients' values one by one, with their weights."""
        return self in (Kind.MEDIAN, Kind.TRIMMED_MEAN, Kind.KRUM, Kind.GEOMETRIC_MEDIAN)

    @property
    def is_secure(self) -> bool:
        """Whether it is of no single client's value in the clear."""
        return self in (Kind.MODULAR_SUM, Kind.SECURE_SUM)


class Order(StrEnum):
    """The order in which a selector gives its examples."""

    STORED = "stored"
    SHUFFLED = "shuffled"
    NEWEST = "newest"  # the last stored first


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
class ResultTensor:
    """One tensor of a round's result. `path` is its place in the computation's type (`histogram/counts`)."""

    port: Port
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
        inputs: the field of the collection that fills each input of `step`, as {input: field}.
        limit: at most so many examples; None for all.
        epochs: how many times the selection is gone through.
        drop_remainder: a last batch that is short is left out, in every epoch.
    """

    collection: str
    inputs: dict[str, str]
    batch_size: int
    epochs: int = 1
    order: Order = Order.STORED
    limit: int | None = None
    filter: tuple[Condition, ...] = ()
    drop_remainder: bool = False


@dataclass(frozen=True)
class Pass:
    """One way through some of a device's examples: `open` once if there is one, then `step` for every batch.

    Attributes:
        step: a signature of `client.tflite`.
        inputs: what `step` takes, one example's logical spec each, without the batch.
        example_weight: the input of `step` that is 1 for an example and 0 for padding; None where no batch is short.
        open: a signature that takes the flag, called before the first batch: what an earlier pass left is turned into
            what this one starts from.
    """

    step: str
    inputs: dict[str, Port]
    selector: Selector
    example_weight: str | None = None
    open: str | None = None


@dataclass(frozen=True)
class Step:
    """Something done to values before they are summed (clip, encode, mask), or to the sum (noise), with its parameters.

    `noise` has `stddev`: a number, or the name of a tensor of the server's that is there before the round, in the unit
    of the values. Correlated noise has two more, int64 steps of the sum's grid in the shape of the entry's one value:
    `earlier`, the name of a tensor of the server's that is taken away from the sum, and `drawn`, under which the
    aggregate has the noise.
    """

    kind: str
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Aggregation:
    """How some tensors of the updates become one.

    A `mean` is two sums, of weight × value and of the weight; `finish` has multiplied and `update_state` divides. Sums
    are integers modulo 2^bits: a value v counts as round(v × 2^fraction_bits). With 320 bits they are *wide*: 149
    fraction bits hold every float32 exactly, none every int64.

    Attributes:
        values: the update's tensors that this entry takes.
        weight: for a mean, and a robust kind, the update's tensor that holds the weight.
        bound: the largest magnitude that one value may have; None for what the round's size leaves room for. For a
            `secure_sum`, whose values are integers, none is below 0 either.
        denominator: of a mean: `weight`, or `fixed` where privacy asks for a constant. Such a mean has no weight: it is
            one sum, which `update_state` divides.
        signatures: for `custom`, the server's signatures {zero, accumulate, merge, report}:
            `zero(flag) -> accumulator`, `accumulate(<name>..., value_<name>...) -> accumulator`,
            `merge(<name>..., other_<name>...) -> accumulator`, `report(<name>...) -> result`.
        parameters: for a robust kind: {fraction} of a trimmed_mean, {byzantine, selected} of krum, {iterations,
            smoothing} of a geometric_median. Its values come unmultiplied, and all of them are one vector.
        modulus: for a `modular_sum`, whose values are integers from 0 to modulus - 1.
        accumulator, result: for `custom`, what its signatures carry, and what `report` gives.
        on_zero_weight: `error` where a total weight of zero ends the round; for a mean also `nan`, where `update_state`
            is to see it (0 / 0).
    """

    name: str
    kind: Kind
    values: tuple[str, ...]
    weight: str | None = None
    bits: int = FIXED_POINT_BITS
    fraction_bits: int = 32
    bound: float | None = None
    steps: tuple[Step, ...] = ()
    denominator: str = "weight"
    signatures: dict[str, str] = field(default_factory=dict)
    modulus: int | None = None
    accumulator: dict[str, Port] = field(default_factory=dict)
    result: dict[str, Port] = field(default_factory=dict)
    on_zero_weight: str = "error"
    parameters: dict[str, float] = field(default_factory=dict)

    @property
    def tensors(self) -> tuple[str, ...]:
        """Every tensor of the update that this entry takes."""
        return self.values if self.weight is None else (*self.values, self.weight)

    @property
    def noise(self) -> Step | None:
        """The noise that the server adds to the sums, if it does."""
        return next((step for step in self.steps if step.kind == "noise"), None)

    @property
    def drawn(self) -> str | None:
        """What the aggregate calls the noise itself, where it has it."""
        return None if self.noise is None else self.noise.parameters.get("drawn")

    @property
    def is_wide(self) -> bool:
        """Whether its sums are exact, whatever the values."""
        return self.bits == WIDE_BITS


@dataclass(frozen=True)
class Work:
    """One thing that clients do in a round, and what the server does around it.

    The device owns the loop: `begin(broadcast, device state)`, every pass in its order, `finish() -> update, metrics,
    device state`. A device that keeps nothing yet gives zeros and says so with `has_state`, an input of `begin` that
    is 1 where it keeps something: what a state is at first, the program itself makes. The server has `prepare(state,
    carried) -> broadcast, temp` and `update_state(state, carried, temp, sums) -> state, result, metrics`. A signature
    that would take nothing takes a `flag`, and one that would give nothing gives `ready`, because a phone's runtime has
    no signature without inputs or outputs.

    Attributes:
        begin, finish: names of signatures of `client.tflite`.
        passes: the ways through the device's examples; none for a computation that needs no data.
        device_state: what a device keeps for the next time it does this work; it never crosses the network.
        seed: the input of `begin` that takes the assignment's random seed, if it draws random numbers.
        prepare, update_state: names of signatures of `server.tflite`; no `update_state` where a round leaves the
            state as it is, as an evaluation does.
        temp: what `prepare` gives for `update_state` alone; it never leaves the server.
        result: what `update_state` gives besides the state: the round's typed result.
        carried: in a plan of several phases, what `update_state` gives in the place of a new state; the work of the
            same name in the next phase takes it beside the state.
    """

    role: Role
    begin: str
    finish: str
    broadcast: dict[str, Port]
    metrics: dict[str, Port]
    prepare: str
    passes: tuple[Pass, ...] = ()
    update: dict[str, Port] = field(default_factory=dict)
    update_state: str | None = None
    aggregation: tuple[Aggregation, ...] = ()
    device_state: dict[str, Port] = field(default_factory=dict)
    seed: str | None = None
    server_metrics: dict[str, Port] = field(default_factory=dict)
    temp: dict[str, Port] = field(default_factory=dict)
    result: dict[str, ResultTensor] = field(default_factory=dict)
    carried: dict[str, Port] = field(default_factory=dict)

    @cached_property
    def update_specs(self) -> dict[str, TensorSpec]:
        """The logical specs of what a device uploads."""
        return _specs(self.update)

    @cached_property
    def update_size_bytes(self) -> int:
        """How long an encoded update is."""
        return encoded_size(self.update_specs)

    @property
    def device_state_specs(self) -> dict[str, TensorSpec]:
        """The logical specs of what a device keeps."""
        return _specs(self.device_state)

    @property
    def broadcast_specs(self) -> dict[str, TensorSpec]:
        """The logical specs of what a device downloads."""
        return _specs(self.broadcast)

    @property
    def temp_specs(self) -> dict[str, TensorSpec]:
        """The logical specs of what the server keeps until the round ends."""
        return _specs(self.temp)

    @property
    def result_ports(self) -> dict[str, Port]:
        """The ports of the round's result."""
        return {name: tensor.port for name, tensor in self.result.items()}

    @property
    def aggregate(self) -> dict[str, Port]:
        """Every tensor that the aggregation gives, which `update_state` takes as `sum_<name>`."""
        given: dict[str, Port] = {}
        for entry in self.aggregation:
            given |= entry.result if entry.kind is Kind.CUSTOM else {name: self.update[name] for name in entry.tensors}
            if entry.drawn is not None:
                shape = self.update[entry.values[0]].spec.shape
                spec = TensorSpec("int64", shape)
                given[entry.drawn] = Port(spec) if shape else Port(spec, TensorSpec("int64", (1,)))
        return given

    @property
    def features(self) -> frozenset[str]:
        """Which of the `FEATURES` this work needs."""
        kinds = {entry.kind for entry in self.aggregation}
        orders = {one.selector.order for one in self.passes}
        needed = {
            "correlated_noise": any(entry.drawn is not None for entry in self.aggregation),
            "custom_aggregation": Kind.CUSTOM in kinds,
            "device_state": bool(self.device_state),
            "extremes": bool(kinds & {Kind.MIN, Kind.MAX}),
            "fixed_denominator": any(entry.denominator == "fixed" for entry in self.aggregation),
            "mean": Kind.MEAN in kinds,
            "newest": Order.NEWEST in orders,
            "noise": any(entry.noise is not None for entry in self.aggregation),
            "passes": True,
            "result": bool(self.result),
            "robust": any(kind.is_robust for kind in kinds),
            "sum": Kind.SUM in kinds,
            "temp": bool(self.temp),
            "wide_sums": any(entry.is_wide for entry in self.aggregation),
        }
        return frozenset(name for name, is_needed in needed.items() if is_needed)


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
        series: a name for the tasks that go on with one another's device state; None where a task has its own.
    """

    format_version: int
    name: str
    type: str
    state: dict[str, StateTensor]
    phases: tuple[Phase, ...]
    required_features: tuple[str, ...] = ()
    infer: str | None = None
    series: str | None = None

    @property
    def works(self) -> dict[str, Work]:
        """The works of a plan of one phase, the only kind that runs yet."""
        return self.phases[0].works

    @property
    def state_ports(self) -> dict[str, Port]:
        """The ports of the server's state."""
        return {name: tensor.port for name, tensor in self.state.items()}

    @property
    def state_specs(self) -> dict[str, TensorSpec]:
        """The logical specs of the server's state."""
        return _specs(self.state_ports)

    def carried_to(self, work: Work) -> dict[str, Port]:
        """What a work of this plan takes from the work of the same name in the phase before."""
        for before, phase in pairwise(self.phases):
            for name, candidate in phase.works.items():
                if candidate == work and name in before.works:
                    return before.works[name].carried
        return {}

    def gives_state(self, work: Work) -> bool:
        """Whether a work's `update_state` gives a new state: all do but those of a phase that others follow."""
        return not any(candidate == work for phase in self.phases[:-1] for candidate in phase.works.values())

    def work(self, name: str) -> Work:
        """The work of that name, or an `InvalidPlanError` that lists those there are."""
        if name not in self.works:
            raise InvalidPlanError(
                f"the plan {self.name!r} has no work {name!r}; it has {', '.join(sorted(self.works))}"
            )
        return self.works[name]


def features_of(*works: Work) -> tuple[str, ...]:
    """The `required_features` of a plan with these works, sorted."""
    return tuple(sorted({name for work in works for name in work.features}))


def check_supported(manifest: Manifest) -> None:
    """Refuse a sound plan that asks for what this version does not do, naming it.

    Raises:
        UnsupportedPlanError: see above.
    """
    problem = next(_unsupported(manifest), None)
    if problem is not None:
        raise UnsupportedPlanError(f"the plan {manifest.name!r} needs {problem}, which this version does not do")


def _unsupported(manifest: Manifest) -> Iterator[str]:
    if unknown := sorted(set(manifest.required_features) - FEATURES):
        yield f"the feature {unknown[0]!r}"
    if len(manifest.phases) > 1:
        yield f"{len(manifest.phases)} phases over one cohort"
    for work in manifest.works.values():
        if any(one.selector.filter for one in work.passes):
            yield "a filter over examples"
        for entry in work.aggregation:
            yield from _unsupported_aggregation(entry)


def _unsupported_aggregation(entry: Aggregation) -> Iterator[str]:
    if entry.kind.is_secure:
        yield f"the aggregation kind {entry.kind.value!r} (refused until secure aggregation exists)"
    for step in entry.steps:
        if step.kind != "noise":
            yield f"the aggregation step {step.kind!r}"
    if entry.bits not in (FIXED_POINT_BITS, WIDE_BITS):
        yield f"sums of {entry.bits} bits"


def _specs(ports: dict[str, Port]) -> dict[str, TensorSpec]:
    return {name: port.spec for name, port in ports.items()}
