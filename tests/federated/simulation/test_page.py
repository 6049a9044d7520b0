"""The page on simulation says what happens."""

import pytest

from benchmarks.measure import ROOT
from tests.federated.pages import run_page


@pytest.mark.tensorflow
@pytest.mark.timeout(300)
def test_the_page_on_simulation_runs() -> None:
    run_page(ROOT / "docs" / "simulation.md")
