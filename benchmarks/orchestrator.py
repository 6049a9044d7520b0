"""What an update costs the orchestrator: `python -m benchmarks.orchestrator [--quick] [--json FILE]`.

A server over a SQLite file and a folder, as `fedelta serve` runs it, is given whole rounds by devices over the
loopback: check-in, upload, signed report, and at the end of every round the sum and the new checkpoint.
Its CPU time is read from the kernel before and after, and divided by the updates. Beside it, in the same run, stands a
server that only discards the bodies, and Flower's SuperLink where `--flower-python` names the Python of an environment
that has it. Durable means what it says: every acknowledged update and report is flushed.
"""

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import urllib3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks import processes, superlink
from device_sdk.http import HttpTransport
from device_sdk.identity import DeviceKey, EnrolmentRecord, Identity
from device_sdk.session import DeviceSession
from device_sdk.uploads import part_at_once
from plans import bundle
from plans.manifest import FEATURES
from wire import statements, tensors
from wire.messages import Assignment, CheckIn, CollectionSummary, Enrolment, Outcome, Report, Resource, Runtime
from wire.messages import UpdateManifest as Manifest
from wire.operator import OperatorClient
from wire.operator_messages import EnrolmentTokenRequest, RoundPolicy, TaskRequest

MODELS = {"200 KB": (1000, 50), "6.6 MB": (1000, 1650)}  # inputs and outputs of one dense layer
_CONNECTIONS = 4
_OFFER = CheckIn(
    Runtime("0.1.0", "ai-edge-litert", "2.0.0", tuple(sorted(FEATURES))), (CollectionSummary("default", 1024),)
)
_DISCARD = """
import socket, sys, uvicorn
async def discard(scope, receive, send):
    while scope["type"] == "http" and (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})
listening = socket.create_server(("127.0.0.1", 0))
print(f"Serving on http://127.0.0.1:{listening.getsockname()[1]};", flush=True)
uvicorn.Server(uvicorn.Config(discard, lifespan="off", log_level="critical")).run([listening])
"""


@dataclass(frozen=True)
class Served:
    """A server's process, and where it listens."""

    process: "subprocess.Popen[str]"
    url: str
    api_key: str

    def cpu_seconds(self) -> float:
        """What the process has taken so far."""
        return processes.cpu_seconds([self.process.pid])

    def peak_bytes(self) -> int:
        """The most memory it has had."""
        return processes.peak_bytes(self.process.pid)


class Device:
    """An enrolled device that sends whatever it is told to."""

    def __init__(self, url: str, token: str) -> None:
        self._transport = HttpTransport(url)
        key = DeviceKey(Ed25519PrivateKey.generate())
        signature = key.sign(statements.enrolment(token, key.public_key))
        enrolled = self._transport.enrol(Enrolment(token, statements.ED25519, key.public_key, signature))
        self._key = key
        record = EnrolmentRecord(url, enrolled.device_id, enrolled.population, enrolled.plan_keys)
        self._session = DeviceSession(Identity(key, record), self._transport)

    def check_in(self) -> Assignment | None:
        """Offer to work."""
        return self._session.call(lambda token: self._transport.check_in(token, _OFFER)).assignment

    def work(self, update: bytes, metrics: dict[str, float]) -> None:
        """Check in until there is an assignment, and give this update for it."""
        while (assignment := self.check_in()) is None:
            time.sleep(0.05)
        resource = Resource(bundle.digest(update), len(update))
        name = assignment.assignment_id
        part = part_at_once(assignment, resource)
        assert part is not None, "this server keeps updates in a folder"
        self._session.call(lambda token: self._transport.upload(token, part, update))
        statement = statements.update(name, assignment.round_number, resource.sha256)
        report = Report(Outcome.COMPLETED, metrics, Manifest(resource, self._key.sign(statement)))
        self._session.call(lambda token: self._transport.report(token, name, report))


@contextmanager
def serving(*command: str) -> Iterator[Served]:
    """A server, until the end of the block."""
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    said = ""
    try:
        while not (address := re.search(r"Serving on (http://\S+);", said)):
            line = process.stdout.readline()
            assert line, f"the server ended: {said}"
            said += line
        api_key = re.search(r"fdo_\w+", said)
        yield Served(process, address[1], "" if api_key is None else api_key[0])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="a smoke test of less than a minute")
    parser.add_argument("--flower-python", type=Path, metavar="PYTHON", help="let Flower's SuperLink take part")
    options = parser.parse_args(arguments)
    document = measured(options.quick, options.flower_python)
    print(markdown(document))
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0


def measured(quick: bool, flower_python: Path | None = None) -> dict[str, Any]:
    """The figures of one run."""
    devices, rounds, checks = (4, 2, 200) if quick else (50, 4, 20_000)
    records = [
        _updates(name, *shape, devices, rounds) for name, shape in MODELS.items() if not quick or name == "200 KB"
    ]
    if not quick:
        records.append(_updates("200 KB", *MODELS["200 KB"], 1000, 1))
    document = {"records": records, "idle_check_in_cpu_seconds": _idle(checks), "connections": _CONNECTIONS}
    if flower_python is not None:
        models = {name: shape for name, shape in MODELS.items() if not quick or name == "200 KB"}
        document["superlink"] = superlink.measured(flower_python, models, devices, rounds, checks // 10)
    return document


def markdown(document: dict[str, Any]) -> str:
    """The figures as a table."""
    lines = [
        "| update | devices | updates | CPU s an update | CPU s if discarded | updates a second | peak MiB |",
        "| --- |" + " --- |" * 6,
    ]
    other = document.get("superlink", {"records": []})
    lines += [_row(one) for one in (*document["records"], *other["records"])]
    lines += ["", f"An idle check-in: {document['idle_check_in_cpu_seconds'] * 1e3:.3f} ms of CPU."]
    if "superlink" in document:
        lines += [f"An idle pull from the SuperLink: {other['idle_pull_cpu_seconds'] * 1e3:.3f} ms of CPU."]
    return "\n".join(lines)


def _row(one: dict[str, Any]) -> str:
    discarded = one.get("discard_cpu_seconds_per_update")
    return (
        f"| {one['update']} | {one['devices']} | {one['updates']} | {one['cpu_seconds_per_update']:.4f} "
        f"| {'' if discarded is None else f'{discarded:.4f}'} | {one['updates_per_second']:.1f} "
        f"| {one['peak_resident_bytes'] / (1 << 20):.0f} |"
    )


def _updates(name: str, inputs: int, outputs: int, devices: int, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="fedelta-benchmark-") as folder:
        model = Path(folder) / "model.keras"
        subprocess.run(
            [sys.executable, "-c", _MODEL, str(inputs), str(outputs), str(model)], check=True, stderr=subprocess.DEVNULL
        )
        with serving("-m", "federated", "serve", "--data-dir", f"{folder}/server", "--port", "0") as server:
            client = OperatorClient(server.url, server.api_key)
            policy = RoundPolicy(rounds=rounds, cohort=devices, selection_deadline_seconds=3600)
            task = client.push(TaskRequest("dense", policy=policy), model=model.read_bytes())
            work = bundle.unpack(client.resource(task.plan_sha256)).manifest.work(task.work)
            values = np.random.default_rng(1)
            update = tensors.encode(
                {
                    key: np.asarray(values.uniform(0.1, 1, spec.shape), spec.dtype)
                    for key, spec in work.update_specs.items()
                }
            )
            token = client.mint_token(EnrolmentTokenRequest(uses=devices)).token
            with ThreadPoolExecutor(_CONNECTIONS) as pool:
                fleet = list(pool.map(lambda _: Device(server.url, token), range(devices)))
                _wait(lambda: client.rounds(task.task_id))
                cpu, begun = server.cpu_seconds(), time.monotonic()
                for number in range(rounds):
                    list(pool.map(lambda device: device.work(update, dict.fromkeys(work.metrics, 1.0)), fleet))
                    _wait(lambda number=number: client.task(task.task_id).rounds_completed > number)  # type: ignore[misc]
                seconds, cpu = time.monotonic() - begun, server.cpu_seconds() - cpu
            peak = server.peak_bytes()
    count = devices * rounds
    return {
        "update": name,
        "update_bytes": len(update),
        "devices": devices,
        "updates": count,
        "cpu_seconds_per_update": cpu / count,
        "discard_cpu_seconds_per_update": _discarded(update, count),
        "updates_per_second": count / seconds,
        "peak_resident_bytes": peak,
    }


def _idle(count: int) -> float:
    with (
        tempfile.TemporaryDirectory(prefix="fedelta-benchmark-") as folder,
        serving("-m", "federated", "serve", "--data-dir", folder, "--port", "0") as server,
    ):
        token = OperatorClient(server.url, server.api_key).mint_token(EnrolmentTokenRequest(uses=64)).token
        with ThreadPoolExecutor(64) as pool:
            fleet = list(pool.map(lambda _: Device(server.url, token), range(64)))
            list(pool.map(lambda device: device.check_in(), fleet))
            cpu = server.cpu_seconds()
            list(pool.map(lambda number: fleet[number % 64].check_in(), range(count)))
            return (server.cpu_seconds() - cpu) / count


def _discarded(update: bytes, count: int) -> float:
    pool = urllib3.PoolManager(maxsize=_CONNECTIONS)
    with serving("-c", _DISCARD) as server, ThreadPoolExecutor(_CONNECTIONS) as threads:
        cpu = server.cpu_seconds()
        list(threads.map(lambda _: pool.request("PUT", server.url, body=update), range(count)))
        return (server.cpu_seconds() - cpu) / count


def _wait(condition: Callable[[], object]) -> None:
    while not condition():
        time.sleep(0.02)


_MODEL = """
import sys, keras
model = keras.Sequential([keras.Input((int(sys.argv[1]),)), keras.layers.Dense(int(sys.argv[2]))])
model.compile("sgd", keras.losses.MeanSquaredError())
model.save(sys.argv[3])
"""

if __name__ == "__main__":
    sys.exit(main())
