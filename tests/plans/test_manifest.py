"""A manifest that contradicts itself, is newer, or asks for more than this version does, is refused by name."""

import json
from dataclasses import replace
from typing import Any

import pytest

from plans import consistency, manifest
from plans.errors import InvalidPlanError, UnsupportedPlanError
from plans.manifest import (
    FORMAT_VERSION,
    WIDE_BITS,
    WIDE_FRACTION_BITS,
    Aggregation,
    Condition,
    Group,
    Kind,
    Manifest,
    Operator,
    Phase,
    Port,
    ResultTensor,
    StateTensor,
    Step,
)
from tests.plans import readings
from tests.plans.linear import PASS, PLAN, SELECTOR, TRAIN, selecting, with_pass, with_work
from wire import codec
from wire.tensors import TensorSpec

(MODEL,) = TRAIN.aggregation
SCALAR = TRAIN.update["weight"]
VECTOR = TRAIN.update["w"]


def aggregated(**changes: Any) -> Manifest:
    return with_work(aggregation=(replace(MODEL, **changes),))


ANALYTICS = readings.PLAN.manifest
PHASES = readings.PHASES.manifest
COUNT = Port(TensorSpec("int32", (2,)))
WIDE = {"bits": WIDE_BITS, "fraction_bits": WIDE_FRACTION_BITS}


def counting(kind: Kind, port: Port = COUNT, **changes: Any) -> Manifest:
    """A work whose update is `count`, and nothing else."""
    return with_work(update={"count": port}, aggregation=(Aggregation("counts", kind, ("count",), **changes),))


def summed(**changes: Any) -> Manifest:
    """A work whose update is a sum of two floats."""
    return counting(Kind.SUM, VECTOR, **changes)


def noise(stddev: float | str) -> Step:
    return Step("noise", {"stddev": stddev})


def correlated(drawn: str = "drawn", **changes: Any) -> Manifest:
    """A work whose update is a sum of two floats with correlated noise."""
    step = Step("noise", {"stddev": 1.5, "earlier": "before", "drawn": drawn})
    entry = Aggregation("counts", Kind.SUM, ("count",), steps=(step,))
    return with_work(update={"count": VECTOR}, aggregation=(entry,), **changes)


NOISE = noise(1.5)
CORRELATED = Step("noise", {"stddev": 1.5, "earlier": "before", "drawn": "drawn"})
STEPS = Port(TensorSpec("int64", (2,)))


def measuring(**changes: Any) -> Manifest:
    """The manifest of the golden analytics with some fields of its work changed."""
    return replace(ANALYTICS, phases=(Phase({"readings": replace(readings.WORK, **changes)}),))


def spanning(**changes: Any) -> Manifest:
    """The same, with some fields of its custom aggregation changed."""
    *others, span = readings.WORK.aggregation
    return measuring(aggregation=(*others, replace(span, **changes)))


def phased(first: dict[str, Any], last: dict[str, Any]) -> Manifest:
    """The manifest of two phases with some fields of each one's work changed."""
    works = (phase.works["deviation"] for phase in PHASES.phases)
    changed = (replace(work, **changes) for work, changes in zip(works, (first, last), strict=True))
    return replace(PHASES, phases=tuple(Phase({"deviation": work}) for work in changed))


def selected(**changes: Any) -> Manifest:
    return with_work(passes=selecting(**changes).passes)


@pytest.mark.parametrize("one", [PLAN.manifest, ANALYTICS, PHASES, readings.COUNTING.manifest])
def test_a_manifest_survives_its_journey(one: Manifest) -> None:
    assert consistency.parse(codec.dumps(one)) == one


def test_fields_that_this_version_does_not_know_are_ignored() -> None:
    document = json.loads(codec.dumps(PLAN.manifest)) | {"colour": "green"}
    assert consistency.parse(json.dumps(document).encode()) == PLAN.manifest


def test_a_newer_format_is_refused_before_anything_else_is_read() -> None:
    with pytest.raises(UnsupportedPlanError, match="format 99; this version reads up to 1: update fedelta"):
        consistency.parse(b'{"format_version": 99, "phases": "told otherwise"}')


NOT_MANIFESTS = {
    "no JSON": (b"{", r"^manifest.json: \$: expected a JSON document"),
    "a list": (b"[]", r"\$: expected an object \(Manifest\)"),
    "no format": (b"{}", r"\$.format_version: expected a value"),
    "a format that is text": (b'{"format_version": "2"}', r"\$.format_version: expected an integer"),
    "a format that is a flag": (b'{"format_version": true}', r"\$.format_version: expected an integer"),
    "an unknown role": (codec.dumps(PLAN.manifest).replace(b'"train"', b'"drain"'), "role: expected one of"),
    "an unknown dtype": (codec.dumps(PLAN.manifest).replace(b"float32", b"bfloat16"), "dtype 'bfloat16' is not one"),
    "a negative shape": (codec.dumps(PLAN.manifest).replace(b"[2]", b"[-2]"), "none negative"),
}


@pytest.mark.parametrize(("data", "message"), NOT_MANIFESTS.values(), ids=NOT_MANIFESTS)
def test_what_is_no_manifest_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InvalidPlanError, match=message):
        consistency.parse(data)


TALL = Port(TensorSpec("float32", (2,)), TensorSpec("float32", (3,)))
CONTRADICTIONS: dict[str, tuple[Manifest, str]] = {
    "format zero": (replace(PLAN.manifest, format_version=0), "format_version is 0; the first is 1"),
    "no phase": (replace(PLAN.manifest, phases=()), "at least one phase"),
    "no work": (replace(PLAN.manifest, phases=(Phase({}),)), "a phase at least one work"),
    "a bad name in the state": (
        replace(PLAN.manifest, state={"W": StateTensor(SCALAR, Group.OTHER)}),
        "state has the tensor name 'W'",
    ),
    "a bad name in the broadcast": (with_work(broadcast={"a/b": SCALAR}), "train: broadcast has the tensor name 'a/b'"),
    "a bad name in the inputs": (with_pass(inputs={"": SCALAR}), "inputs has the tensor name ''"),
    "a bad name in the update": (with_work(update={"é": SCALAR}), "update has the tensor name 'é'"),
    "a bad name in the metrics": (with_work(metrics={"Loss": SCALAR}), "metrics has the tensor name 'Loss'"),
    "a bad name in the device state": (with_work(device_state={"-": SCALAR}), "device_state has the tensor name '-'"),
    "a bad name in the server's metrics": (with_work(server_metrics={"N": SCALAR}), "server_metrics has the tensor"),
    "a bound spec of another size": (
        with_work(update=TRAIN.update | {"w": TALL}),
        r"update.w: float32\[3\] does not hold the elements of float32\[2\]",
    ),
    "a state of another size": (
        replace(PLAN.manifest, state=PLAN.manifest.state | {"w": StateTensor(TALL, Group.OTHER)}),
        r"state.w: float32\[3\] does not hold",
    ),
    "a metric that is no scalar": (with_work(metrics={"m": VECTOR}), r"the metric 'm' is float32\[2\]; a metric is"),
    "a server's metric that is no scalar": (with_work(server_metrics={"m": VECTOR}), "the metric 'm' is"),
    "an update that is a metric": (with_work(metrics={"w": SCALAR}), "finish gives w for two purposes"),
    "an update that is device state": (with_work(device_state={"b": SCALAR}), "finish gives b for two purposes"),
    "device state that says whether it is there": (
        with_work(device_state={"has_state": SCALAR}),
        "begin takes has_state for two purposes",
    ),
    "device state that is broadcast": (with_work(device_state={"client_learning_rate": SCALAR}), "begin takes client_"),
    "a series without a name": (replace(PLAN.manifest, series=""), "the series '' does not match"),
    "a server's metric that is state": (with_work(server_metrics={"b": SCALAR}), "update gives b for two purposes"),
    "a seed that is broadcast": (with_work(seed="w"), "begin takes w for two purposes"),
    "a weight that is an input": (with_pass(example_weight="x"), "step takes x for two purposes"),
    "a tensor aggregated twice": (aggregated(values=("b", "w", "w")), "every tensor of the update is aggregated once"),
    "a tensor aggregated never": (aggregated(values=("b",)), "every tensor of the update is aggregated once"),
    "a tensor aggregated that is not there": (aggregated(values=("b", "w", "v")), "aggregated b, v, w, weight"),
    "an update that nobody takes": (with_work(update_state=None), "no update_state signature takes the sums"),
    "a collection that no device can have": (selected(collection="Bad Name"), "'Bad Name' does not match"),
    "batches of nothing": (selected(batch_size=0), "batch_size, epochs and limit are at least 1"),
    "no epoch": (selected(epochs=0), "batch_size, epochs and limit are at least 1"),
    "a limit of nothing": (selected(limit=0), "batch_size, epochs and limit are at least 1"),
    "an input that nothing fills": (selected(inputs={"x": "x"}), "the selector fills x, but train_step takes x, y"),
    "a fixed denominator with a weight": (aggregated(denominator="fixed"), "a weight belongs to a mean by weight"),
    "a sum with a denominator": (summed(denominator="fixed"), "for a mean fixed, not 'fixed'"),
    "an unknown denominator": (aggregated(denominator="clients"), "not 'clients'"),
    "noise on a mean by weight": (aggregated(steps=(NOISE,)), "noise belongs to a sum, .* not to a mean by weight"),
    "noise on a minimum": (counting(Kind.MIN, VECTOR, steps=(NOISE,)), "not to a min"),
    "noise on a median": (aggregated(kind=Kind.MEDIAN, steps=(NOISE,)), "not to a median"),
    "noise on a custom aggregation": (spanning(steps=(NOISE,)), "not to a custom"),
    "noise on integers": (counting(Kind.SUM, steps=(NOISE,)), "count is no float"),
    "noise on a wide sum": (
        summed(steps=(NOISE,), bits=WIDE_BITS, fraction_bits=WIDE_FRACTION_BITS),
        "sums of 64 bits, not of 320",
    ),
    "noise twice": (summed(steps=(NOISE, NOISE)), "noise is the last step, and there is one"),
    "noise before another step": (summed(steps=(NOISE, Step("clip"))), "noise is the last step"),
    "noise without a size": (summed(steps=(Step("noise"),)), "or stddev, earlier and drawn, found nothing"),
    "noise of a negative size": (summed(steps=(noise(-1.0),)), "a number of 0 or more, .* not -1.0"),
    "noise of another's size": (summed(steps=(noise("sigma"),)), "'sigma', which the server does not have before"),
    "noise of a vector's size": (summed(steps=(noise("w"),)), r"'w', float32\[2\]; it is one float"),
    "correlated noise of two tensors": (
        with_work(
            update={"count": VECTOR, "more": VECTOR},
            aggregation=(Aggregation("counts", Kind.SUM, ("count", "more"), steps=(CORRELATED,)),),
            temp={"before": STEPS},
        ),
        "correlated noise is of one tensor, not of count, more",
    ),
    "correlated noise without the noise before": (
        summed(steps=(CORRELATED,)),
        r"int64\[2\] .* before the round, not 'b",
    ),
    "correlated noise in other steps": (
        correlated(temp={"before": VECTOR}),
        r"a tensor int64\[2\] that the server has",
    ),
    "noise that is drawn as another": (
        correlated(drawn="count", temp={"before": STEPS}),
        "the aggregation gives count for two purposes",
    ),
    "noise that is drawn as nothing": (correlated(drawn="", temp={"before": STEPS}), "drawn under the name ''"),
    "a mean without a weight": (aggregated(weight=None, values=("b", "w", "weight")), "such a one needs one"),
    "a sum with a weight": (aggregated(kind=Kind.SUM), "a weight belongs to a mean"),
    "sums of 16 bits": (aggregated(bits=16), "bits are 32, 64 or 320"),
    "no bit for a unit": (aggregated(fraction_bits=63), "fraction_bits leave room"),
    "negative fraction bits": (aggregated(fraction_bits=-1), "fraction_bits leave room"),
    "a bound of zero": (aggregated(bound=0.0), "a bound is positive"),
    "a weight that is no scalar": (aggregated(values=("b", "weight"), weight="w"), "the weight is a scalar"),
    "a step that may be short": (
        with_pass(example_weight=None),
        "train_step has no example_weight, so that its selector must drop_remainder or take one at a time",
    ),
    "a bad name in a second pass": (
        measuring(passes=(*readings.WORK.passes[:2], replace(readings.WORK.passes[2], inputs={"L": SCALAR}))),
        "inputs has the tensor name 'L'",
    ),
    "a bad name in temp": (measuring(temp={"T": SCALAR}), "temp has the tensor name 'T'"),
    "a bad name in the result": (measuring(result={"R": ResultTensor(SCALAR)}), "result has the tensor name 'R'"),
    "a bad name in carried": (phased({"carried": {"C": SCALAR}}, {}), "carried has the tensor name 'C'"),
    "a result of another size": (measuring(result={"r": ResultTensor(TALL)}), r"result.r: float32\[3\] does not hold"),
    "a result that is state": (
        with_work(result={"w": ResultTensor(VECTOR)}),
        "update gives w for two purposes",
    ),
    "a result that is a metric": (
        with_work(server_metrics={"m": SCALAR}, result={"m": ResultTensor(SCALAR)}),
        "update gives m for two purposes",
    ),
    "two results of one path": (
        measuring(result={"a": ResultTensor(SCALAR, "mean"), "b": ResultTensor(SCALAR, "mean")}),
        "the result calls mean for two purposes",
    ),
    "a result without an update_state": (
        measuring(update={}, aggregation=(), update_state=None, temp={}),
        r"there is a result \(count, excess, .*\), but no update_state signature",
    ),
    "temp that nobody takes": (
        with_work("evaluate", temp={"kept": SCALAR}),
        r"there is temp \(kept\), but no update_state signature",
    ),
    "temp that is broadcast": (measuring(temp={"threshold": SCALAR}), "prepare gives threshold for two purposes"),
    "temp that is state": (with_work(temp={"server_learning_rate": SCALAR}), "update takes server_learning_rate for"),
    "phases with different works": (
        replace(PHASES, phases=(PHASES.phases[0], Phase({"other": PHASES.phases[1].works["deviation"]}))),
        r"phases\[1\] has the works other, the first deviation",
    ),
    "a last phase that carries": (phased({}, {"carried": {"more": SCALAR}}), "the last phase carries more to no other"),
    "a first phase with a result": (
        phased({"result": {"early": ResultTensor(SCALAR)}}, {}),
        "only the last phase gives a result, as early",
    ),
    "what is carried and temp": (phased({}, {"temp": {"mean": SCALAR}}), "for two purposes"),
    "a modular sum without a modulus": (counting(Kind.MODULAR_SUM), "a modular_sum needs one"),
    "a sum with a modulus": (counting(Kind.SUM, modulus=7), "a modulus belongs to a modular_sum"),
    "a modulus of zero": (counting(Kind.MODULAR_SUM, modulus=0), "the modulus is 1 to 2147483647, .* not 0"),
    "a modulus that does not fit": (counting(Kind.MODULAR_SUM, modulus=2**31), "the modulus is 1 to 2147483647"),
    "a modular sum of floats": (counting(Kind.MODULAR_SUM, VECTOR, modulus=7), "count is not an integer, which a mod"),
    "a secure sum of floats": (counting(Kind.SECURE_SUM, VECTOR, bound=7), "count is not an integer, which a secure"),
    "a secure sum without a bound": (counting(Kind.SECURE_SUM), "a secure_sum needs a bound"),
    "a wide sum of too few fraction bits": (
        counting(Kind.SUM, VECTOR, bits=WIDE_BITS, fraction_bits=32),
        "wide sums have 149 fraction_bits, or 0 where all are integers",
    ),
    "a wide sum of floats as integers": (
        counting(Kind.SUM, VECTOR, bits=WIDE_BITS, fraction_bits=0),
        "wide sums have 149 fraction_bits",
    ),
    "a wide sum of doubles": (
        counting(Kind.SUM, Port(TensorSpec("float64", (2,))), **WIDE),
        "wide sums hold floats to float32 and integers to int64, not float64",
    ),
    "a mean that knows no zero": (aggregated(on_zero_weight="keep"), "on_zero_weight is error or nan, not 'keep'"),
    "a custom aggregation without a report": (
        spanning(signatures={"zero": "a", "accumulate": "b", "merge": "c"}),
        "the signatures are accumulate, merge, report, zero, found accumulate, merge, zero",
    ),
    "a custom aggregation of nothing": (spanning(accumulator={}), "has an accumulator and a result"),
    "a custom aggregation without a result": (spanning(result={}), "has an accumulator and a result"),
    "a custom result that is a sum": (spanning(result={"total": COUNT}), "the aggregation gives total for two"),
    "an accumulator that is called like a value": (
        spanning(accumulator={"value_level": COUNT}),
        "accumulate takes value_level for two purposes",
    ),
    "an accumulator that is called like another": (
        spanning(accumulator={"low": COUNT, "other_low": COUNT}),
        "merge takes other_low for two purposes",
    ),
    "a robust kind without a weight": (counting(Kind.MEDIAN), "a weight belongs to a mean by weight or a robust kind"),
    "a trimmed mean that is not told how much": (
        aggregated(kind=Kind.TRIMMED_MEAN),
        "the parameters of a trimmed_mean are fraction, found nothing",
    ),
    "a trimmed mean of nothing": (
        aggregated(kind=Kind.TRIMMED_MEAN, parameters={"fraction": 0.5}),
        "fraction is within 0 and 0.499, not 0.5",
    ),
    "a sum that is told something": (
        counting(Kind.SUM, parameters={"fraction": 0.1}),
        "the parameters of a sum are nothing, found fraction",
    ),
    "signatures of a plain sum": (counting(Kind.SUM, signatures={"zero": "a"}), "belong to a custom aggregation"),
    "a sum of bools": (
        with_work(update=TRAIN.update | {"b": Port(TensorSpec("bool", ()))}),
        "b is bool; what is summed is a number",
    ),
}


@pytest.mark.parametrize(("found", "message"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_contradiction_is_refused_by_name(found: Manifest, message: str) -> None:
    with pytest.raises(InvalidPlanError, match=message):
        consistency.parse(codec.dumps(found))


UNSUPPORTED: dict[str, tuple[Manifest, str]] = {
    "an unknown feature": (replace(PLAN.manifest, required_features=("mean", "telepathy")), "the feature 'telepathy'"),
    "two phases": (replace(PLAN.manifest, phases=PLAN.manifest.phases * 2), "2 phases over one cohort"),
    "a filter": (selected(filter=(Condition("age", Operator.LESS, 18),)), "a filter over examples"),
    "a step": (aggregated(steps=(Step("clip", {"norm": 1.0}),)), "the aggregation step 'clip'"),
    "sums of 32 bits": (aggregated(bits=32, fraction_bits=16), "sums of 32 bits"),
    "a modular sum": (
        counting(Kind.MODULAR_SUM, modulus=7),
        r"the aggregation kind 'modular_sum' \(refused until secure aggregation exists\)",
    ),
    "a secure sum": (
        counting(Kind.SECURE_SUM, bound=9),
        r"the aggregation kind 'secure_sum' \(refused until secure aggregation exists\)",
    ),
}


@pytest.mark.parametrize(("found", "message"), UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_what_this_version_does_not_do_is_sound_and_refused_by_name(found: Manifest, message: str) -> None:
    assert consistency.parse(codec.dumps(found)) == found
    with pytest.raises(UnsupportedPlanError, match=message):
        manifest.check_supported(found)


NOISED = {
    "a sum": summed(steps=(NOISE,)),
    "a sum by a tensor of the state": summed(steps=(noise("client_learning_rate"),)),
    "a sum by a tensor of temp": with_work(
        update={"count": VECTOR},
        aggregation=(Aggregation("counts", Kind.SUM, ("count",), steps=(noise("sigma"),)),),
        temp={"sigma": SCALAR},
    ),
    "a sum of correlated noise": correlated(temp={"before": STEPS}),
    "a mean of a fixed denominator": counting(Kind.MEAN, VECTOR, denominator="fixed", steps=(NOISE,)),
}


@pytest.mark.parametrize("found", NOISED.values(), ids=NOISED)
def test_a_noised_plan_is_sound_and_says_that_it_is_one(found: Manifest) -> None:
    assert consistency.parse(codec.dumps(found)) == found
    manifest.check_supported(found)
    assert "noise" in found.work("train").features


@pytest.mark.parametrize("stddev", [float("nan"), float("inf")])
def test_noise_without_a_finite_size_is_refused_where_it_is_written(stddev: float) -> None:
    with pytest.raises(InvalidPlanError, match="a number of 0 or more"):
        consistency.check(summed(steps=(noise(stddev),)))


def test_correlated_noise_is_a_feature_and_a_tensor_of_the_aggregate() -> None:
    work = correlated(temp={"before": STEPS}).work("train")
    assert {"correlated_noise", "noise"} <= work.features
    assert work.aggregate == {"count": VECTOR, "drawn": STEPS}


def test_a_fixed_denominator_is_a_feature() -> None:
    found = counting(Kind.MEAN, VECTOR, denominator="fixed")
    assert "fixed_denominator" in found.work("train").features
    consistency.check(found)


def test_a_step_without_a_weight_takes_whole_batches_or_one_at_a_time() -> None:
    whole = replace(SELECTOR, drop_remainder=True)
    consistency.check(with_work(passes=(replace(PASS, example_weight=None, selector=whole),)))
    single = replace(SELECTOR, batch_size=1)
    consistency.check(with_work(passes=(replace(PASS, example_weight=None, selector=single),)))


def test_a_work_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(InvalidPlanError, match="no work 'infer'; it has evaluate, train"):
        PLAN.manifest.work("infer")


def test_the_first_format_is_one() -> None:
    assert FORMAT_VERSION == 1
