"""The page on running on a fleet, as it stands there: a server, three devices, and every block of Python.

The README's program runs on the same devices.
"""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.federated.pages import run_page
from tests.processes.federation import free_port, wait_for
from tests.processes.test_readme import Shell
from wire.operator import OperatorClient

pytestmark = [pytest.mark.processes, pytest.mark.tensorflow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGE = ROOT / "docs" / "running-on-a-fleet.md"
DEVICES = ("1", "2", "3")


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (serve,), (key, token), device, (list_, result, curl) = [
        block.splitlines() for block in re.findall(r"```sh\n(.*?)\n```", PAGE.read_text(), re.DOTALL)
    ]
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    here = {"http://127.0.0.1:8700": url}
    monkeypatch.chdir(tmp_path)
    shell = Shell(tmp_path, port)
    with shell.stack:
        shell.start(serve, tmp_path / "server.log")
        wait_for(lambda: OperatorClient(url, "nobody").ready())
        name, _ = key.removeprefix("export ").split("=")
        api_key = re.findall(r"fdo_\w+", (tmp_path / "server.log").read_text())[0]
        shell.set(name, api_key)
        monkeypatch.setenv(name, api_key)
        shell.set("TOKEN", shell.run(token))
        page = run_page(PAGE, blocks=slice(1), replaced=here)
        enrol, import_data, run = device
        for number in DEVICES:
            shell.set("N", number)
            shell.run(enrol)
            shell.run(import_data)
            assert "of value=float32" in shell.run("fedelta-device data list --state-dir ./device-$N")
            shell.start(run, tmp_path / f"device-{number}.log")
        run_page(PAGE, blocks=slice(1, None), replaced=here, module=page)
        readme = run_page(README, language="py", replaced=here, module=page | {"key": api_key})
        assert readme["fraction"] == np.float32(2 / 3)
        first = [line for line in shell.run(list_).splitlines() if "fraction_over" in line][-1]
        shell.set("TASK", first.split()[0])
        assert "0.6666667" in shell.run(result)
        assert '"type":"(<readings={float32}@CLIENTS,threshold=float32@SERVER> -> float32@SERVER)"' in shell.run(curl)
