"""Holds a plan's programs against its manifest, before anything runs.

Every signature that the manifest names must exist and take and give exactly the bound tensors that the manifest says.
The orchestrator asks when a plan is pushed, a device when it first loads one; so a wrong name is never met in a round.
"""

from collections.abc import Iterator, Mapping

from plans.bundle import Plan
from plans.client import FLAG
from plans.errors import InvalidPlanError
from plans.manifest import Manifest, Port, Work
from plans.program import Program
from plans.server import SUM_PREFIX, state_ports
from wire.tensors import Specs, TensorSpec

_FLAG_SPEC = TensorSpec("float32", (1,))
_SEED_SPEC = TensorSpec("int32", (1,))


def check_client(program: Program, manifest: Manifest) -> None:
    """Refuse a `client.tflite` that is not what the manifest says.

    Raises:
        InvalidPlanError: a signature is missing, or takes or gives something else.
    """
    for name, work in manifest.works.items():
        _refuse(f"work {name!r}", _client_problems(program, work))


def check_server(program: Program, manifest: Manifest) -> None:
    """Refuse a `server.tflite` that is not what the manifest says; see `check_client`."""
    for name, work in manifest.works.items():
        _refuse(f"work {name!r}", _server_problems(program, manifest, work))


def check(plan: Plan) -> None:
    """Load both programs of a plan and hold them against its manifest.

    Raises:
        InvalidPlanError: see `check_client`.
        ProgramError: a program cannot be loaded.
    """
    check_client(Program(plan.client), plan.manifest)
    check_server(Program(plan.server), plan.manifest)


def _refuse(where: str, problems: Iterator[str]) -> None:
    problem = next(problems, None)
    if problem is not None:
        raise InvalidPlanError(f"{where}: {problem}")


def _client_problems(program: Program, work: Work) -> Iterator[str]:
    begin = _bound(work.broadcast) | ({work.seed: _SEED_SPEC} if work.seed else {})
    finish = _bound(work.update) | _bound(work.metrics)
    batch_size = work.selectors[0].batch_size
    step = {
        name: TensorSpec(port.at_runtime.dtype, (batch_size, *port.at_runtime.shape))
        for name, port in work.inputs.items()
    }
    step[work.example_weight] = TensorSpec("float32", (batch_size,))
    yield from _signature_problems(program, work.begin, begin or {FLAG: _FLAG_SPEC}, {})
    yield from _signature_problems(program, work.step, step, {})
    yield from _signature_problems(program, work.finish, {FLAG: _FLAG_SPEC}, finish)


def _server_problems(program: Program, manifest: Manifest, work: Work) -> Iterator[str]:
    state = _bound(state_ports(manifest))
    sums = {SUM_PREFIX + name: spec for name, spec in _bound(work.update).items()}
    if shared := sorted(state.keys() & sums.keys()):
        yield f"{work.update_state} takes {shared[0]!r} as a sum and as the server's state; rename one"
    yield from _signature_problems(program, work.prepare, state, _bound(work.broadcast))
    if work.update_state is not None:
        yield from _signature_problems(program, work.update_state, state | sums, state | _bound(work.server_metrics))


def _signature_problems(program: Program, signature: str, inputs: Specs, outputs: Specs) -> Iterator[str]:
    if signature not in program.signatures:
        yield f"the program has no signature {signature!r}; it has {', '.join(program.signatures)}"
        return
    found = program.inputs(signature)
    if dict(found) != dict(inputs):
        yield f"{signature} must take {_shown(inputs)}; it takes {_shown(found)}"
    given = program.outputs(signature)
    if different := {name: spec for name, spec in outputs.items() if given.get(name) != spec}:
        yield f"{signature} must give {_shown(different)}; it gives {_shown(given)}"


def _bound(ports: Mapping[str, Port]) -> dict[str, TensorSpec]:
    return {name: port.at_runtime for name, port in ports.items()}


def _shown(specs: Specs) -> str:
    return ", ".join(f"{name}={spec}" for name, spec in sorted(specs.items())) or "nothing"
