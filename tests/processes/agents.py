"""Some devices in one process, each an agent in a thread of its own: `python -m tests.processes.agents FOLDER…`."""

import random
import sys
import threading
import time
from pathlib import Path

from device_sdk import identity
from device_sdk.agent import Agent
from device_sdk.examples import ExampleStore
from device_sdk.http import HttpTransport
from device_sdk.runner import run_forever
from device_sdk.state_dir import StateDir

_LONGEST_SECONDS = 1.0  # a test does not wait as long as a device does


def work(folder: str) -> None:
    """Work for ever in one state directory."""
    state = StateDir(Path(folder))
    who = identity.load(state)
    agent = Agent(
        state, who, HttpTransport(who.record.url), ExampleStore(state.examples), now=time.time, elapsed=time.monotonic
    )
    run_forever(agent, sleep=lambda seconds: time.sleep(min(seconds, _LONGEST_SECONDS)), random=random.random)


if __name__ == "__main__":
    threads = [threading.Thread(target=work, args=(folder,)) for folder in sys.argv[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
