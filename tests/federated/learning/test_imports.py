"""The algorithms cost nothing before one is built."""

import subprocess
import sys


def test_importing_the_algorithms_loads_no_tensorflow() -> None:
    code = """
import sys, federated as fed
assert fed.learning.algorithms.__all__ and fed.learning.ClientWeighting.UNIFORM and fed.learning.robust_aggregator
assert fed.learning.optimizers.build_sgdm(0.1).hparams and "tensorflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
