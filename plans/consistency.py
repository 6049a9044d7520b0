"""Reads a manifest, and refuses one that contradicts itself.

Whoever writes a plan may ask `check` before anything is packed; whoever reads one gets it checked by `parse`.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from plans.errors import InvalidPlanError, UnsupportedPlanError
from plans.manifest import (
    FIXED_POINT_BITS,
    FORMAT_VERSION,
    HAS_STATE,
    WIDE_BITS,
    WIDE_FRACTION_BITS,
    Aggregation,
    Kind,
    Manifest,
    Pass,
    Phase,
    Port,
    Selector,
    Work,
)
from wire import codec
from wire.errors import MessageError
from wire.tensors import NAME_PATTERN, TensorSpec

_CUSTOM_SIGNATURES = {"zero", "accumulate", "merge", "report"}
_PARAMETERS: Mapping[Kind, Mapping[str, tuple[float, float]]] = {
    Kind.TRIMMED_MEAN: {"fraction": (0, 0.499)},
    Kind.KRUM: {"byzantine": (0, 1_000_000), "selected": (1, 1_000_000)},
    Kind.GEOMETRIC_MEDIAN: {"iterations": (1, 10_000), "smoothing": (1e-30, 1)},
}
"""What robust kinds are told, and the smallest and the largest that each may be."""

_SERIES = re.compile(r"[\w.:/-]{1,200}", re.ASCII)

_GROUPS = ("broadcast", "update", "metrics", "device_state", "server_metrics", "temp", "carried")


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
    check(manifest)
    return manifest


def check(manifest: Manifest) -> None:
    """Refuse a manifest that contradicts itself.

    Raises:
        InvalidPlanError: it says which parts contradict each other.
    """
    problem = next(_contradictions(manifest), None)
    if problem is not None:
        raise InvalidPlanError(f"manifest.json: {problem}")


def _contradictions(manifest: Manifest) -> Iterator[str]:
    if manifest.format_version < 1:
        yield f"format_version is {manifest.format_version}; the first is 1"
    if not manifest.phases or not all(phase.works for phase in manifest.phases):
        yield "a plan has at least one phase, and a phase at least one work"
    yield from _bad_ports("state", manifest.state_ports)
    yield from _phase_contradictions(manifest.phases)
    if manifest.series is not None and not _SERIES.fullmatch(manifest.series):
        yield f"the series {manifest.series!r} does not match {_SERIES.pattern}"
    for index, phase in enumerate(manifest.phases):
        for name, work in phase.works.items():
            where = f"phases[{index}].works.{name}"
            for problems in (
                _port_contradictions(work),
                _client_contradictions(work),
                _server_contradictions(work, manifest),
                _sum_contradictions(work, manifest),
            ):
                yield from (f"{where}: {problem}" for problem in problems)


def _phase_contradictions(phases: tuple[Phase, ...]) -> Iterator[str]:
    for index, phase in enumerate(phases):
        if phase.works.keys() != phases[0].works.keys():
            yield f"phases[{index}] has the works {_listed(phase.works)}, the first {_listed(phases[0].works)}"
        is_last = index == len(phases) - 1
        for name, work in phase.works.items():
            if is_last and work.carried:
                yield f"phases[{index}].works.{name}: the last phase carries {_listed(work.carried)} to no other"
            if not is_last and work.result:
                yield f"phases[{index}].works.{name}: only the last phase gives a result, as {_listed(work.result)}"


def _port_contradictions(work: Work) -> Iterator[str]:
    for group in _GROUPS:
        yield from _bad_ports(group, getattr(work, group))
    yield from _bad_ports("result", work.result_ports)
    for one in work.passes:
        yield from _bad_ports("inputs", one.inputs)
    for entry in work.aggregation:
        yield from _bad_ports(f"aggregation {entry.name!r}: accumulator", entry.accumulator)
        yield from _bad_ports(f"aggregation {entry.name!r}: result", entry.result)
    for name, port in (work.metrics | work.server_metrics).items():
        if port.spec.shape != ():
            yield f"the metric {name!r} is {port.spec}; a metric is a scalar"


def _client_contradictions(work: Work) -> Iterator[str]:
    yield from _shared("finish gives", work.update, work.metrics, work.device_state)
    told = ([] if work.seed is None else [work.seed]) + ([HAS_STATE] if work.device_state else [])
    yield from _shared("begin takes", work.broadcast, told, work.device_state)
    for one in work.passes:
        yield from _shared("step takes", one.inputs, [] if one.example_weight is None else [one.example_weight])
        yield from _pass_contradictions(one)


def _pass_contradictions(one: Pass) -> Iterator[str]:
    selector = one.selector
    if selector.batch_size < 1 or selector.epochs < 1 or (selector.limit is not None and selector.limit < 1):
        yield "a selector's batch_size, epochs and limit are at least 1"
    if not NAME_PATTERN.fullmatch(selector.collection):
        yield f"the collection {selector.collection!r} does not match {NAME_PATTERN.pattern}"
    if selector.inputs.keys() != one.inputs.keys():
        yield f"the selector fills {_listed(selector.inputs)}, but {one.step} takes {_listed(one.inputs)}"
    if one.example_weight is None and _may_be_short(selector):
        yield f"{one.step} has no example_weight, so that its selector must drop_remainder or take one at a time"


def _may_be_short(selector: Selector) -> bool:
    return selector.batch_size > 1 and not selector.drop_remainder


def _server_contradictions(work: Work, manifest: Manifest) -> Iterator[str]:
    given = {"temp": work.temp, "a result": work.result, "carried values": work.carried}
    if work.update_state is None and work.update:
        yield "an update is uploaded, but no update_state signature takes the sums"
    for what, ports in given.items():
        if work.update_state is None and ports:
            yield f"there is {what} ({_listed(ports)}), but no update_state signature"
    state = manifest.state if manifest.gives_state(work) else {}
    yield from _shared("prepare gives", work.broadcast, work.temp)
    yield from _shared("update takes", manifest.state, manifest.carried_to(work), work.temp)
    yield from _shared("update gives", state, work.carried, work.server_metrics, work.result)
    yield from _shared("the result calls", *([tensor.path or name] for name, tensor in work.result.items()))


def _sum_contradictions(work: Work, manifest: Manifest) -> Iterator[str]:
    taken = [name for entry in work.aggregation for name in entry.tensors]
    if sorted(taken) != sorted(work.update):
        yield (
            f"every tensor of the update is aggregated once: update {_listed(work.update)}, aggregated {_listed(taken)}"
        )
        return
    given = [entry.result if entry.kind is Kind.CUSTOM else entry.tensors for entry in work.aggregation]
    drawn = ([entry.drawn] for entry in work.aggregation if entry.drawn is not None)
    yield from _shared("the aggregation gives", *given, *drawn)
    kinds = [entry.kind for entry in work.aggregation]
    if any(kind.is_secure for kind in kinds) and (robust := [kind.value for kind in kinds if kind.is_robust]):
        yield f"{_listed(robust)} takes every client's value in the clear, beside sums that hide it"
    for entry in work.aggregation:
        for problems in (
            _entry_contradictions(entry, work),
            _kind_contradictions(entry, work),
            _noise_contradictions(entry, work, manifest),
        ):
            yield from (f"aggregation {entry.name!r}: {problem}" for problem in problems)


def _entry_contradictions(entry: Aggregation, work: Work) -> Iterator[str]:
    if entry.denominator not in ("weight", "fixed") or (entry.denominator == "fixed" and entry.kind is not Kind.MEAN):
        yield f"a denominator is weight, or for a mean fixed, not {entry.denominator!r}"
    is_weighted = entry.kind.is_robust or (entry.kind is Kind.MEAN and entry.denominator == "weight")
    if is_weighted != (entry.weight is not None):
        yield "a weight belongs to a mean by weight or a robust kind, and such a one needs one"
    if entry.weight is not None and work.update[entry.weight].spec.shape != ():
        yield "the weight is a scalar"
    if entry.on_zero_weight not in ("error", "nan"):
        yield f"on_zero_weight is error or nan, not {entry.on_zero_weight!r}"
    if entry.bound is not None and entry.bound <= 0:
        yield "a bound is positive"
    if entry.is_wide:
        yield from _wide_contradictions(entry, work)
    elif entry.bits not in (32, 64) or not 0 <= entry.fraction_bits < entry.bits - 1:
        yield f"bits are 32, 64 or {WIDE_BITS}, and fraction_bits leave room for a sign and a unit"


def _wide_contradictions(entry: Aggregation, work: Work) -> Iterator[str]:
    dtypes = {work.update[name].spec.dtype for name in entry.tensors}
    if too_wide := dtypes & {"float64", "uint64"}:
        yield f"wide sums hold floats to float32 and integers to int64, not {_listed(too_wide)}"
    has_floats = any(np.dtype(dtype).kind == "f" for dtype in dtypes)
    if entry.fraction_bits != WIDE_FRACTION_BITS and (has_floats or entry.fraction_bits != 0):
        yield f"wide sums have {WIDE_FRACTION_BITS} fraction_bits, or 0 where all are integers"


def _kind_contradictions(entry: Aggregation, work: Work) -> Iterator[str]:
    dtypes = {name: np.dtype(work.update[name].spec.dtype) for name in entry.tensors}
    bools = [name for name, dtype in dtypes.items() if dtype.kind == "b"]
    if bools and entry.kind is not Kind.CUSTOM:
        yield f"{_listed(bools)} is bool; what is summed is a number"
    floats = [name for name, dtype in dtypes.items() if dtype.kind == "f"]
    if floats and entry.kind in (Kind.MODULAR_SUM, Kind.SECURE_SUM):
        yield f"{_listed(floats)} is not an integer, which a {entry.kind.value} takes"
    if (entry.kind is Kind.MODULAR_SUM) != (entry.modulus is not None):
        yield "a modulus belongs to a modular_sum, and a modular_sum needs one"
    if entry.modulus is not None:
        largest = min((int(np.iinfo(dtype).max) for dtype in dtypes.values() if dtype.kind in "iu"), default=0)
        if not 1 <= entry.modulus <= largest:
            yield f"the modulus is 1 to {largest}, the largest that its tensors hold, not {entry.modulus}"
    if entry.kind is Kind.SECURE_SUM and entry.bound is None:
        yield "a secure_sum needs a bound"
    yield from _robust_contradictions(entry, dtypes)
    yield from _custom_contradictions(entry)


def _robust_contradictions(entry: Aggregation, dtypes: Mapping[str, np.dtype[Any]]) -> Iterator[str]:
    needed = _PARAMETERS.get(entry.kind, {})
    if entry.parameters.keys() != needed.keys():
        yield f"the parameters of a {entry.kind.value} are {_listed(needed)}, found {_listed(entry.parameters)}"
        return
    for name, (low, high) in needed.items():
        if not low <= entry.parameters[name] <= high:
            yield f"{name} is within {low} and {high}, not {entry.parameters[name]}"
    if entry.kind.is_robust and (others := [name for name in entry.values if dtypes[name].kind != "f"]):
        yield f"{_listed(others)} is no float, which a {entry.kind.value} takes"


def _noise_contradictions(entry: Aggregation, work: Work, manifest: Manifest) -> Iterator[str]:
    noises = [step for step in entry.steps if step.kind == "noise"]
    if not noises:
        return
    if noises != list(entry.steps[-1:]):
        yield "noise is the last step, and there is one"
    if entry.kind is not Kind.SUM and (entry.kind is not Kind.MEAN or entry.denominator != "fixed"):
        kind = "a mean by weight" if entry.kind is Kind.MEAN else f"a {entry.kind.value}"
        yield f"noise belongs to a sum, or to a mean of a fixed denominator, not to {kind}"
    if entry.bits != FIXED_POINT_BITS:
        yield f"noise is added to sums of {FIXED_POINT_BITS} bits, not of {entry.bits}"
    if others := [name for name in entry.values if np.dtype(work.update[name].spec.dtype).kind != "f"]:
        yield f"{_listed(others)} is no float, to which noise is added"
    parameters = noises[0].parameters
    if parameters.keys() not in ({"stddev"}, {"stddev", "earlier", "drawn"}):
        yield f"the parameters of a noise are stddev, or stddev, earlier and drawn, found {_listed(parameters)}"
        return
    known = manifest.state_ports | manifest.carried_to(work) | work.temp
    yield from _stddev_contradictions(parameters["stddev"], known)
    if "drawn" in parameters:
        yield from _correlated_contradictions(parameters["earlier"], parameters["drawn"], entry, work, known)


def _stddev_contradictions(stddev: Any, known: Mapping[str, Port]) -> Iterator[str]:
    if isinstance(stddev, str):
        if stddev not in known:
            yield f"the stddev of a noise is {stddev!r}, which the server does not have before the round"
        elif (found := known[stddev].spec).shape != () or np.dtype(found.dtype).kind != "f":
            yield f"the stddev of a noise is {stddev!r}, {found}; it is one float"
    elif type(stddev) not in (int, float) or not 0 <= stddev < math.inf:
        yield f"the stddev of a noise is a number of 0 or more, or the name of a tensor, not {stddev!r}"


def _correlated_contradictions(
    earlier: Any, drawn: Any, entry: Aggregation, work: Work, known: Mapping[str, Port]
) -> Iterator[str]:
    if len(entry.values) != 1:
        yield f"correlated noise is of one tensor, not of {_listed(entry.values)}"
        return
    expected = TensorSpec("int64", work.update[entry.values[0]].spec.shape)
    found = known[earlier].spec if isinstance(earlier, str) and earlier in known else None
    if found != expected:
        yield f"the earlier of a noise is a tensor {expected} that the server has before the round, not {earlier!r}"
    if not isinstance(drawn, str) or not NAME_PATTERN.fullmatch(drawn):
        yield f"the noise is drawn under the name {drawn!r}, which does not match {NAME_PATTERN.pattern}"


def _custom_contradictions(entry: Aggregation) -> Iterator[str]:
    if entry.kind is not Kind.CUSTOM:
        if entry.signatures or entry.accumulator or entry.result:
            yield "signatures, accumulator and result belong to a custom aggregation"
        return
    if entry.signatures.keys() != _CUSTOM_SIGNATURES:
        yield f"the signatures are {_listed(_CUSTOM_SIGNATURES)}, found {_listed(entry.signatures)}"
    if not entry.accumulator or not entry.result:
        yield "a custom aggregation has an accumulator and a result"
    yield from _shared("accumulate takes", entry.accumulator, [f"value_{name}" for name in entry.values])
    yield from _shared("merge takes", entry.accumulator, [f"other_{name}" for name in entry.accumulator])


def _shared(what: str, *groups: Iterable[str]) -> Iterator[str]:
    names = [name for group in groups for name in set(group)]
    if twice := {name for name in names if names.count(name) > 1}:
        yield f"{what} {_listed(twice)} for two purposes"


def _bad_ports(group: str, ports: Mapping[str, Port]) -> Iterator[str]:
    for name, port in ports.items():
        if not NAME_PATTERN.fullmatch(name):
            yield f"{group} has the tensor name {name!r}, which does not match {NAME_PATTERN.pattern}"
        if math.prod(port.spec.shape) != math.prod(port.at_runtime.shape):
            yield f"{group}.{name}: {port.at_runtime} does not hold the elements of {port.spec}"


def _listed(names: Any) -> str:
    return ", ".join(sorted(names)) or "nothing"
