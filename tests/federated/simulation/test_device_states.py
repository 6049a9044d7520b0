"""Where a simulation's clients keep their states: the newest counts, and a run can be taken up at its checkpoint."""

from pathlib import Path

import numpy as np
import pytest

from federated.simulation import CheckpointError, DeviceStates


def put(states: DeviceStates, number: int, *clients: str) -> None:
    """What these clients keep after a round: its number."""
    states.begin_round(number)
    for client in clients:
        states.write("train", client, {"kept__0_0": np.array(number, np.int32)})


def kept(states: DeviceStates, client: str) -> int | None:
    state = states.read("train", client)
    return None if state is None else int(state["kept__0_0"])


@pytest.fixture(params=["a folder of its own", "a folder that stays"])
def states(request: pytest.FixtureRequest, tmp_path: Path) -> DeviceStates:
    return DeviceStates(tmp_path / "states" if request.param == "a folder that stays" else None)


def test_a_client_keeps_what_was_written_last(states: DeviceStates) -> None:
    assert kept(states, "a") is None
    put(states, 1, "a", "b")
    put(states, 2, "a")
    assert (kept(states, "a"), kept(states, "b"), kept(states, "c")) == (2, 1, None)
    assert states.read("evaluate", "a") is None


def test_a_run_goes_back_to_its_checkpoint(states: DeviceStates) -> None:
    put(states, 1, "a", "b")
    put(states, 2, "a")
    states.saved(2)
    put(states, 3, "a", "b", "c")
    put(states, 4, "a")
    assert (kept(states, "a"), kept(states, "b"), kept(states, "c")) == (4, 3, 3)
    states.rewind(2)
    assert (kept(states, "a"), kept(states, "b"), kept(states, "c")) == (2, 1, None)


def test_another_process_finds_the_states(tmp_path: Path) -> None:
    first = DeviceStates(tmp_path)
    put(first, 9, "a")
    first.saved(9)
    put(first, 10, "a", "b")
    again = DeviceStates(tmp_path)
    assert (kept(again, "a"), kept(again, "b")) == (10, 10)
    again.rewind(9)
    assert (kept(again, "a"), kept(again, "b")) == (9, None)


def test_no_client_has_more_than_two_files(tmp_path: Path) -> None:
    states = DeviceStates(tmp_path)
    for number in range(1, 12):
        put(states, number, "a")
        if number % 4 == 0:
            states.saved(number)
        assert len(list(tmp_path.iterdir())) <= 2
    assert sorted(path.stem.rpartition("-")[2] for path in tmp_path.iterdir()) == ["11", "8"]


def test_a_damaged_state_is_an_error(tmp_path: Path) -> None:
    states = DeviceStates(tmp_path)
    put(states, 1, "a")
    next(tmp_path.iterdir()).write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="cannot be read"):
        states.read("train", "a")
