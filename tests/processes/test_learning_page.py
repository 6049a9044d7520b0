"""The guide to learning on a fleet: its process, on devices that hold what its clients hold."""

from pathlib import Path

import numpy as np
import pytest

from tests.federated.pages import run_page
from tests.processes.federation import Federation

pytestmark = [pytest.mark.processes, pytest.mark.tensorflow, pytest.mark.timeout(300)]

PAGE = Path(__file__).parents[2] / "docs" / "learning.md"


def test_the_process_of_the_guide_goes_on_on_devices(federation: Federation) -> None:
    module = run_page(PAGE) | {"api_key": federation.api_key}
    for number, batches in enumerate(module["clients"][:2]):
        x, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        federation.start_device(federation.enrol(f"device-{number}", {"x": x, "y": y}, collection="points"))
    with module["fed"].plan_context():
        expected = module["state"]
        for _ in range(2):
            expected, _ = module["process"].next(expected, module["clients"][:2])
    run_page(PAGE, language="py", module=module, replaced={"http://127.0.0.1:8700": federation.url})
    assert module["metrics"]["client_work"]["train"]["num_examples"] == 100
    for one, other in zip(
        module["state"].global_model_weights.trainable, expected.global_model_weights.trainable, strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)
