"""A device takes a released model from those whom it trusts, and writes it to a file."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device_sdk import identity
from device_sdk.cli import main
from device_sdk.enrolment import enrol
from device_sdk.errors import DeclinedError, RefusedError
from device_sdk.models import fetch_model
from device_sdk.state_dir import StateDir
from tests.device_sdk.http_orchestrator import OrchestratorServer, serving
from tests.device_sdk.memory_orchestrator import TOKEN, MemoryOrchestrator
from wire.errors import ErrorCode


@pytest.fixture
def enrolled(state: StateDir, orchestrator: MemoryOrchestrator) -> StateDir:
    state.make()
    enrol(state, orchestrator, url="http://memory", token=TOKEN, attributes={})
    return state


def fetched(state: StateDir, orchestrator: MemoryOrchestrator, label: str = "released") -> bytes:
    return fetch_model(state, identity.load(state), orchestrator, label)[1]


def test_a_released_model_is_fetched(enrolled: StateDir, orchestrator: MemoryOrchestrator) -> None:
    orchestrator.release(b"the model")
    orchestrator.release(b"another", "candidate")
    assert fetched(enrolled, orchestrator) == b"the model"
    assert fetched(enrolled, orchestrator, "candidate") == b"another"


def test_a_model_that_is_known_is_not_fetched_again(enrolled: StateDir, orchestrator: MemoryOrchestrator) -> None:
    orchestrator.release(b"the model")
    fetched(enrolled, orchestrator)
    fetched(enrolled, orchestrator)
    assert orchestrator.calls.count("fetch") == 1


CHANGES: dict[str, dict[str, Any]] = {
    "another population": {"population": "strangers"},
    "another label": {"label": "candidate"},
    "an unknown key": {"key_id": "somebody"},
    "another algorithm": {"algorithm": "none"},
    "a signature by another key": {"signer": Ed25519PrivateKey.generate()},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_a_model_that_is_not_trusted_is_not_even_fetched(
    enrolled: StateDir, orchestrator: MemoryOrchestrator, changes: dict[str, Any]
) -> None:
    released = orchestrator.release(b"the model", **changes)
    orchestrator.models["released"] = released
    with pytest.raises(DeclinedError, match="the model is not trusted"):
        fetched(enrolled, orchestrator)
    assert "fetch" not in orchestrator.calls


def test_a_label_that_nothing_has_is_refused(enrolled: StateDir, orchestrator: MemoryOrchestrator) -> None:
    with pytest.raises(RefusedError) as refused:
        fetched(enrolled, orchestrator)
    assert refused.value.code == ErrorCode.NOT_FOUND


def test_the_command_writes_a_file(
    state: StateDir, orchestrator: MemoryOrchestrator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model.zip"
    state_dir = ["--state-dir", str(state.path)]
    with serving(OrchestratorServer(orchestrator)) as url:
        assert main(["enrol", "--url", url, "--token", TOKEN, *state_dir]) == 0
        assert main(["model", "--out", str(out), *state_dir]) == 1
        assert "there is no model 'released'" in capsys.readouterr().err
        orchestrator.release(b"the model")
        assert main(["model", "--out", str(out), *state_dir]) == 0
    assert out.read_bytes() == b"the model"
    assert "'released' of 'sensors', round 3, 9 bytes" in capsys.readouterr().out
