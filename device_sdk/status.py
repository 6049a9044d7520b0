"""What a state directory says about its device, for a person or a script."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from device_sdk import identity
from device_sdk.errors import StateError
from device_sdk.examples import ExampleStore
from device_sdk.journal import Journal
from device_sdk.kept import KeptStates
from device_sdk.offer import runtime
from device_sdk.state_dir import StateDir
from wire.messages import Runtime


@dataclass(frozen=True)
class CollectionStatus:
    """A collection, with its exact size and its fields as `float32[2]`."""

    name: str
    examples: int
    fields: dict[str, str]


@dataclass(frozen=True)
class AssignmentStatus:
    """The assignment in flight; `state` is `assigned` or, once its report is ready, the report's outcome."""

    task_name: str
    round_number: int
    work: str
    state: str
    deadline: float


@dataclass(frozen=True)
class KeptStatus:
    """What the device keeps for a work, since which round of which task."""

    task_name: str
    work: str
    round_number: int
    size_bytes: int


@dataclass(frozen=True)
class Status:
    """A device. What is None is not there: no enrolment, no runtime, no assignment in flight."""

    state_dir: str
    runtime: Runtime | None
    collections: tuple[CollectionStatus, ...]
    url: str | None = None
    device_id: str | None = None
    population: str | None = None
    plan_keys: tuple[str, ...] = ()
    attributes: dict[str, str] | None = None
    assignment: AssignmentStatus | None = None
    kept: tuple[KeptStatus, ...] = ()


def read(state: StateDir) -> Status:
    """The status of a device.

    Raises:
        StateError: a file of the state directory cannot be read.
    """
    kept = tuple(_kept(state))
    base = Status(str(state.path), _runtime(), tuple(collections(state)), assignment=_assignment(state), kept=kept)
    if not state.enrolment.exists():
        return base
    record = identity.load(state).record
    return replace(
        base,
        url=record.url,
        device_id=record.device_id,
        population=record.population,
        plan_keys=tuple(key.key_id for key in record.plan_keys),
        attributes=record.attributes,
    )


def collections(state: StateDir) -> Iterator[CollectionStatus]:
    """The collections of a device; none where nothing was imported."""
    if not state.examples.exists():
        return
    store = ExampleStore(state.examples)
    try:
        for name in store.names():
            collection = store.collection(name)
            fields = {field: str(spec) for field, spec in collection.fields.items()}
            yield CollectionStatus(name, len(collection), fields)
    finally:
        store.close()


def lines(status: Status) -> Iterator[str]:
    """The status in words."""
    yield f"state       {status.state_dir}"
    if status.device_id is None:
        yield "enrolled    no; run: fedelta-device enrol --url URL --token TOKEN"
    else:
        yield f"enrolled    as {status.device_id} of {status.population!r} at {status.url}"
        yield f"plan keys   {', '.join(status.plan_keys)}"
    yield f"runtime     {_runtime_line(status.runtime)}"
    for collection in status.collections:
        yield f"collection  {collection_line(collection)}"
    for one in status.kept:
        since = f"since round {one.round_number} of task {one.task_name} ({one.work})"
        yield f"keeps       {one.size_bytes} bytes {since}"
    if (work := status.assignment) is not None:
        yield f"assignment  round {work.round_number} of task {work.task_name} ({work.work}), {work.state}"


def collection_line(collection: CollectionStatus) -> str:
    """A collection in words."""
    fields = ", ".join(f"{name}={spec}" for name, spec in collection.fields.items())
    return f"{collection.name}: {collection.examples} examples of {fields}"


def _runtime_line(found: Runtime | None) -> str:
    if found is None:
        return "none; pip install 'fedelta[device]'"
    return f"{found.interpreter} {found.interpreter_version}, fedelta {found.sdk_version}"


def _runtime() -> Runtime | None:
    try:
        return runtime()
    except StateError:
        return None


def _kept(state: StateDir) -> Iterator[KeptStatus]:
    for keeper, size_bytes in KeptStates(state).list():
        yield KeptStatus(keeper.task_name, keeper.work, keeper.round_number, size_bytes)


def _assignment(state: StateDir) -> AssignmentStatus | None:
    entry = Journal(state).read()
    if entry is None:
        return None
    assignment = entry.assignment
    outcome = "assigned" if entry.report is None else entry.report.outcome.value
    return AssignmentStatus(assignment.task_name, assignment.round_number, assignment.work, outcome, entry.deadline)
