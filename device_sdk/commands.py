"""What each sub-command of `fedelta-device` does; each gives the process's exit status."""

import json
import logging
import random
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from device_sdk import enrolment, files, identity, models, status
from device_sdk.agent import Agent
from device_sdk.errors import StateError
from device_sdk.examples import ExampleStore
from device_sdk.http import HttpTransport
from device_sdk.imports import read_npz
from device_sdk.kept import KeptStates
from device_sdk.progress import StepBar
from device_sdk.runner import run_forever
from device_sdk.state_dir import StateDir
from wire import codec

_log = logging.getLogger(__name__)


def enrol(state: StateDir, arguments: Namespace) -> int:
    """Join an orchestrator's population."""
    state.make()
    with files.locked(state.lock):
        record = enrolment.enrol(
            state,
            HttpTransport(arguments.url),
            url=arguments.url,
            token=arguments.token,
            attributes=dict(arguments.attribute),
        )
    print(f"enrolled as {record.device_id} of {record.population!r} at {record.url}")
    return 0


def run(state: StateDir, arguments: Namespace) -> int:
    """Work until told to stop."""
    try:
        with _agent(state) as agent:
            run_forever(agent, sleep=time.sleep, random=random.random)
    except KeyboardInterrupt:
        _log.info("stopped; what was in flight goes on at the next start")
    return 0


def once(state: StateDir, arguments: Namespace) -> int:
    """Work for one pass."""
    with _agent(state) as agent:
        agent.run_once()
    return 0


def save_model(state: StateDir, arguments: Namespace) -> int:
    """Write the population's released model to a file."""
    who = identity.load(state)
    with files.locked(state.lock):
        released, data = models.fetch_model(state, who, HttpTransport(who.record.url), arguments.label)
    files.write_durably(Path(arguments.out), data)
    which = f"{released.label!r} of {released.population!r}, round {released.round_number}"
    print(f"{arguments.out}: {which}, {len(data)} bytes")
    return 0


def show_status(state: StateDir, arguments: Namespace) -> int:
    """Say what the state directory holds."""
    found = status.read(state)
    if arguments.json:
        print(json.dumps(codec.to_json(found), indent=2))
    else:
        print(*status.lines(found), sep="\n")
    return 0


def import_data(state: StateDir, arguments: Namespace) -> int:
    """Add a file's examples to a collection."""
    loaded = read_npz(Path(arguments.file), arguments.client)
    state.make()
    with _store(state) as store:
        count = store.append(arguments.collection, loaded.arrays)
    for note in loaded.notes:
        print(f"note: {note}")
    added = len(next(iter(loaded.arrays.values())))
    print(f"imported {added} examples; the collection {arguments.collection!r} has {count}")
    return 0


def list_data(state: StateDir, arguments: Namespace) -> int:
    """List the collections."""
    found = [status.collection_line(collection) for collection in status.collections(state)]
    print(*(found or ["no collections; run: fedelta-device data import FILE.npz --collection NAME"]), sep="\n")
    return 0


def forget(state: StateDir, arguments: Namespace) -> int:
    """Forget what is kept between rounds."""
    if state.path.is_dir():
        with files.locked(state.lock):
            print(f"forgot {KeptStates(state).wipe()} states; the next rounds begin anew")
    else:
        print(f"{state.path} keeps nothing")
    return 0


@contextmanager
def _agent(state: StateDir) -> Iterator[Agent]:
    """An agent over a locked state directory, that SIGTERM stops as SIGINT does."""
    if not state.path.is_dir():
        raise StateError(f"{state.path} is not enrolled; run: fedelta-device enrol --url URL --token TOKEN")
    with files.locked(state.lock), _store(state) as store:
        who = identity.load(state)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        on_step = StepBar() if sys.stderr.isatty() else _draw_nothing
        yield Agent(
            state, who, HttpTransport(who.record.url), store, now=time.time, elapsed=time.monotonic, on_step=on_step
        )


@contextmanager
def _store(state: StateDir) -> Iterator[ExampleStore]:
    store = ExampleStore(state.examples)
    try:
        yield store
    finally:
        store.close()


def _draw_nothing(done: int, total: int) -> None:
    pass
