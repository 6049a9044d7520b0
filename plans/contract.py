"""Holds a plan's programs against its manifest, before anything runs.

Every signature that the manifest names must exist and take and give exactly the bound tensors that the manifest says.
The orchestrator asks when a plan is pushed, a device when it first loads one; so a wrong name is never met in a round.
"""

from collections.abc import Iterator, Mapping

from plans import consistency
from plans.bundle import Plan
from plans.errors import InvalidPlanError
from plans.manifest import HAS_STATE, Aggregation, Kind, Manifest, Pass, Port, Work
from plans.program import FLAG, Program
from plans.server import SUM_PREFIX
from wire.tensors import Specs, TensorSpec

_FLAG = {FLAG: TensorSpec("float32", (1,))}
_SEED_SPEC = TensorSpec("int32", (1,))
_HAS_STATE = {HAS_STATE: TensorSpec("float32", (1,))}


def check_client(program: Program, manifest: Manifest) -> None:
    """Refuse a `client.tflite` that is not what the manifest says.

    Raises:
        InvalidPlanError: a signature is missing, or takes or gives something else.
    """
    for where, work in _works(manifest):
        _refuse(where, _client_problems(program, work))


def check_server(program: Program, manifest: Manifest) -> None:
    """Refuse a `server.tflite` that is not what the manifest says; see `check_client`."""
    for where, work in _works(manifest):
        _refuse(where, _server_problems(program, manifest, work))


def check(plan: Plan) -> None:
    """Hold a plan's manifest against itself, and both of its programs against the manifest.

    Raises:
        InvalidPlanError: the manifest contradicts itself; or see `check_client`.
        ProgramError: a program cannot be loaded.
    """
    consistency.check(plan.manifest)
    check_client(Program(plan.client), plan.manifest)
    check_server(Program(plan.server), plan.manifest)


def _works(manifest: Manifest) -> Iterator[tuple[str, Work]]:
    for index, phase in enumerate(manifest.phases):
        in_phase = f" of phase {index + 1}" if len(manifest.phases) > 1 else ""
        yield from ((f"work {name!r}{in_phase}", work) for name, work in phase.works.items())


def _refuse(where: str, problems: Iterator[str]) -> None:
    problem = next(problems, None)
    if problem is not None:
        raise InvalidPlanError(f"{where}: {problem}")


def _client_problems(program: Program, work: Work) -> Iterator[str]:
    kept = _bound(work.device_state)
    begin = (
        _bound(work.broadcast) | kept | ({work.seed: _SEED_SPEC} if work.seed else {}) | (_HAS_STATE if kept else {})
    )
    yield from _signature_problems(program, work.begin, begin, {})
    for one in work.passes:
        yield from _pass_problems(program, one)
    yield from _signature_problems(program, work.finish, {}, _bound(work.update) | _bound(work.metrics) | kept)


def _pass_problems(program: Program, one: Pass) -> Iterator[str]:
    batch_size = one.selector.batch_size
    step = {
        name: TensorSpec(port.at_runtime.dtype, (batch_size, *port.at_runtime.shape))
        for name, port in one.inputs.items()
    }
    if one.example_weight is not None:
        step[one.example_weight] = TensorSpec("float32", (batch_size,))
    if one.open is not None:
        yield from _signature_problems(program, one.open, {}, {})
    yield from _signature_problems(program, one.step, step, {})


def _server_problems(program: Program, manifest: Manifest, work: Work) -> Iterator[str]:
    state, carried = _bound(manifest.state_ports), _bound(manifest.carried_to(work))
    sums = {SUM_PREFIX + name: spec for name, spec in _bound(work.aggregate).items()}
    kept = {"the server's state": state, "a carried value": carried, "temp": _bound(work.temp)}
    for what, specs in kept.items():
        if shared := sorted(specs.keys() & sums.keys()):
            yield f"{work.update_state} takes {shared[0]!r} as a sum and as {what}; rename one"
    yield from _signature_problems(program, work.prepare, state | carried, _bound(work.broadcast) | _bound(work.temp))
    for entry in work.aggregation:
        if entry.kind is Kind.CUSTOM:
            yield from _custom_problems(program, entry, work)
    if work.update_state is not None:
        takes = state | carried | _bound(work.temp) | sums
        gives = (state if manifest.gives_state(work) else {}) | _bound(work.carried)
        gives |= _bound(work.server_metrics) | _bound(work.result_ports)
        yield from _signature_problems(program, work.update_state, takes, gives)


def _custom_problems(program: Program, entry: Aggregation, work: Work) -> Iterator[str]:
    names, accumulator = entry.signatures, _bound(entry.accumulator)
    values = {f"value_{name}": work.update[name].at_runtime for name in entry.values}
    other = {f"other_{name}": spec for name, spec in accumulator.items()}
    yield from _signature_problems(program, names["zero"], {}, accumulator)
    yield from _signature_problems(program, names["accumulate"], accumulator | values, accumulator)
    yield from _signature_problems(program, names["merge"], accumulator | other, accumulator)
    yield from _signature_problems(program, names["report"], accumulator, _bound(entry.result))


def _signature_problems(program: Program, signature: str, inputs: Specs, outputs: Specs) -> Iterator[str]:
    if signature not in program.signatures:
        yield f"the program has no signature {signature!r}; it has {', '.join(program.signatures)}"
        return
    expected = dict(inputs) or _FLAG
    found = program.inputs(signature)
    if dict(found) != expected:
        yield f"{signature} must take {_shown(expected)}; it takes {_shown(found)}"
    given = program.outputs(signature)
    if different := {name: spec for name, spec in outputs.items() if given.get(name) != spec}:
        yield f"{signature} must give {_shown(different)}; it gives {_shown(given)}"


def _bound(ports: Mapping[str, Port]) -> dict[str, TensorSpec]:
    return {name: port.at_runtime for name, port in ports.items()}


def _shown(specs: Specs) -> str:
    return ", ".join(f"{name}={spec}" for name, spec in sorted(specs.items())) or "nothing"
