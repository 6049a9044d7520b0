"""The page of the examples, run on devices as it stands there, and the several rounds of the page on fleets."""

from pathlib import Path

import pytest

from tests.federated.pages import run_page
from tests.processes.federation import Federation
from tests.processes.test_three_contexts import fleet  # noqa: F401 - a fixture

pytestmark = [pytest.mark.processes, pytest.mark.tensorflow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "examples" / "README.md"
FLEET = ROOT / "docs" / "running-on-a-fleet.md"


def test_the_examples_run_on_devices(fleet: Federation, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("FEDELTA_API_KEY", fleet.api_key)
    page = run_page(PAGE, replaced={"http://127.0.0.1:8700": fleet.url})
    run_page(FLEET, language="py", module=page | {"url": fleet.url, "api_key": fleet.api_key})
