"""An orchestrator over an S3-compatible store: rounds, restarts, and a store that is slow, down or lossy."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.app import open_context
from orchestrator.errors import DataFolderError, StoreUnavailableError
from orchestrator.settings import Settings
from orchestrator.storage.protocol import Store
from plans import bundle
from tests.golden.make_plans import LINEAR
from tests.orchestrator.device import Device, encoded
from tests.orchestrator.object_store import ObjectStore
from tests.orchestrator.serving import Orchestrator, Population, until
from tests.proxy import Proxy, proxying
from wire import codec, routes
from wire.errors import ErrorCode
from wire.messages import Assignment, Resource, Upload

DATA = encoded()
DOWN = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.fixture
def proxy(object_store: ObjectStore) -> Iterator[Proxy]:
    """The way to the object store."""
    with proxying(int(object_store.endpoint.rsplit(":", 1)[1])) as made:
        yield made


@pytest.fixture
def over_bucket(
    tmp_path: Path, object_store: ObjectStore, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Population]:
    """A population on an orchestrator that keeps everything but its database in a bucket, through the proxy."""
    for name, value in {**object_store.environment, "AWS_ENDPOINT_URL": proxy.url}.items():
        monkeypatch.setenv(name, value)
    orchestrator = Orchestrator(tmp_path / "data", storage_url=object_store.new_prefix())
    orchestrator.start()
    yield orchestrator.population("garden")
    proxy.answer = None
    orchestrator.stop()


def patient(object_store: ObjectStore, proxy: Proxy, seconds: float = 0.4) -> Store:
    """A store that waits so long for an answer."""
    from orchestrator.storage.s3 import Patience, open_s3

    environment = {**object_store.environment, "AWS_ENDPOINT_URL": proxy.url}
    patience = Patience(timedelta(seconds=seconds), attempts=3, altogether=timedelta(seconds=5))
    return open_s3(object_store.new_prefix(), environment, patience=patience)


def parts(device: Device, assignment: Assignment, data: bytes = DATA) -> Upload:
    message = codec.dumps(Resource(bundle.digest(data), len(data)))
    return device.call("POST", routes.upload(assignment.assignment_id), message).document(Upload)


def test_a_round_goes_through_the_bucket_and_leaves_no_update(over_bucket: Population) -> None:
    task = over_bucket.push(rounds=1, cohort=2)
    for device in over_bucket.devices(2):
        assignment = device.work()
        assert bundle.digest(device.fetch(assignment.plan.resource)) == bundle.digest(LINEAR.read_bytes())
        assert device.send(assignment, DATA) == len(DATA)
        device.report(assignment.assignment_id, device.completed(assignment, DATA))
    over_bucket.task_in(task.task_id, "completed")
    store = over_bucket.orchestrator.context.store
    until(lambda: not list(store.assignments_with_updates()))
    assert not (over_bucket.orchestrator.folder / "store").exists()


def test_an_older_device_sends_its_update_through_the_orchestrator(over_bucket: Population) -> None:
    task = over_bucket.push(rounds=1, cohort=1)
    device = over_bucket.device()
    device.finish(device.work(), DATA)
    over_bucket.task_in(task.task_id, "completed")


def test_a_round_goes_on_over_the_same_bucket_after_a_restart(over_bucket: Population) -> None:
    orchestrator = over_bucket.orchestrator
    task = over_bucket.push(rounds=2, cohort=1)
    device = over_bucket.device()
    assignment = device.work()
    device.send(assignment, DATA)
    orchestrator.restart()
    device = device.moved_to(orchestrator.url, orchestrator.connections)
    assert parts(device, assignment).parts == ()
    device.report(assignment.assignment_id, device.completed(assignment, DATA))
    over_bucket.round_in(task.task_id, 1, "completed")
    over_bucket.round_in(task.task_id, 2, "selection")


@pytest.mark.parametrize("asked", ["", "bytes=100-199", "bytes=-10"])
def test_a_resource_comes_from_the_bucket_whole_or_in_part(over_bucket: Population, asked: str) -> None:
    over_bucket.push()
    orchestrator, data = over_bucket.orchestrator, LINEAR.read_bytes()
    path = routes.resource(bundle.digest(data))
    answer = orchestrator.connections.call(
        "GET", orchestrator.url + path, token=orchestrator.api_key, headers={"Range": asked} if asked else {}
    )
    span = {"": slice(None), "bytes=100-199": slice(100, 200), "bytes=-10": slice(-10, None)}[asked]
    assert (answer.status, answer.body) == (206 if asked else 200, data[span])


def test_other_bytes_than_were_announced_are_never_counted(over_bucket: Population) -> None:
    task = over_bucket.push(rounds=1, cohort=1)
    device = over_bucket.device()
    assignment = device.work()
    (part,) = parts(device, assignment).parts
    assert over_bucket.orchestrator.connections.call("PUT", part.url, DATA[::-1]).status == 200
    report = codec.dumps(device.completed(assignment, DATA))
    problem = device.call("POST", routes.report(assignment.assignment_id), report).problem
    assert (problem.status, problem.code) == (422, ErrorCode.DIGEST_MISMATCH)
    problem = device.call("POST", routes.report(assignment.assignment_id), report).problem
    assert problem.code == ErrorCode.UPDATE_MISSING
    device.send(assignment, DATA)
    device.report(assignment.assignment_id, device.completed(assignment, DATA))
    over_bucket.task_in(task.task_id, "completed")


def test_while_the_store_is_down_nothing_is_lost_and_callers_hear_when_to_return(
    over_bucket: Population, proxy: Proxy
) -> None:
    task = over_bucket.push(rounds=1, cohort=1)
    device = over_bucket.device()
    assignment = device.work()
    device.send(assignment, DATA)
    message = device.completed(assignment, DATA)
    orchestrator = over_bucket.orchestrator
    proxy.answer = DOWN
    proxy.cut()
    before = orchestrator.dump()
    refused = [
        device.call("GET", routes.resource(assignment.broadcast.sha256)),
        device.put(assignment.assignment_id, encoded(b=8)),
        device.call("POST", routes.report(assignment.assignment_id), codec.dumps(message)),
    ]
    for answer in refused:
        assert (answer.problem.status, answer.problem.code) == (503, ErrorCode.UNAVAILABLE)
        assert int(answer.headers["Retry-After"]) > 0
    assert orchestrator.dump() == before
    proxy.answer = None
    device.report(assignment.assignment_id, message)
    over_bucket.task_in(task.task_id, "completed")


def test_a_round_waits_for_a_store_that_is_down(over_bucket: Population, proxy: Proxy) -> None:
    task = over_bucket.push(rounds=2, cohort=1)
    device = over_bucket.device()
    assignment = device.work()
    device.send(assignment, DATA)
    device.report(assignment.assignment_id, device.completed(assignment, DATA))
    proxy.answer = DOWN
    proxy.cut()
    time.sleep(0.5)
    assert over_bucket.operator.task(task.task_id).state == "running"
    proxy.answer = None
    over_bucket.round_in(task.task_id, 1, "completed")
    over_bucket.round_in(task.task_id, 2, "selection")


def test_a_store_that_is_down_is_asked_a_few_times_and_no_more(object_store: ObjectStore, proxy: Proxy) -> None:
    store = patient(object_store, proxy)
    proxy.answer = DOWN
    with pytest.raises(StoreUnavailableError, match="the object store did not do it"):
        store.put(DATA)
    assert proxy.connections == 3
    proxy.answer = None
    assert store.read(store.put(DATA).sha256) == DATA


def test_a_store_that_is_down_for_a_moment_is_not_noticed(object_store: ObjectStore, proxy: Proxy) -> None:
    store = patient(object_store, proxy, seconds=5)
    proxy.answer, proxy.answers_left = DOWN, 2
    resource = store.put(DATA)
    assert proxy.answers_left == 0
    proxy.cut()
    proxy.answers_left = 2
    assert store.read(resource.sha256) == DATA
    assert proxy.answers_left == 0


def test_a_store_that_never_answers_is_left(object_store: ObjectStore, proxy: Proxy) -> None:
    store = patient(object_store, proxy)
    proxy.is_silent = True
    began = time.monotonic()
    for act in (lambda: store.put(DATA), lambda: store.read("0" * 64), lambda: store.delete_updates("a")):
        with pytest.raises(StoreUnavailableError):
            act()
    assert time.monotonic() - began < 20
    proxy.is_silent = False
    proxy.cut()
    assert store.read(store.put(DATA).sha256) == DATA


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://bucket", "must be like s3://bucket/prefix"),
        ("s3://", "must be like s3://bucket/prefix"),
        ("s3://bucket/prefix?x=1", "must be like s3://bucket/prefix"),
        ("s3://bucket/a prefix", "must be like s3://bucket/prefix"),
        ("s3://bucket", "needs AWS_ACCESS_KEY_ID in the environment"),
    ],
)
def test_a_store_that_cannot_be_is_refused_at_the_start(
    tmp_path: Path, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch, url: str, message: str
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with pytest.raises(DataFolderError, match=message):
        open_context(Settings(tmp_path / "data", storage_url=url))
