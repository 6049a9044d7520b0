"""`import federated` costs next to nothing, and brings no TensorFlow along."""

import json
import subprocess
import sys

import federated as fed

_IMPORT = """
import json, sys, time
start = time.process_time()
import federated
seconds = time.process_time() - start
print(json.dumps({"seconds": seconds, "modules": sorted(sys.modules)}))
"""


def test_it_takes_less_than_a_third_of_a_second_and_loads_no_tensorflow() -> None:
    best = 1.0
    for _ in range(5):  # the first may have to write byte code, and a machine has other things to do
        done = subprocess.run([sys.executable, "-c", _IMPORT], check=True, capture_output=True, text=True)
        figures = json.loads(done.stdout)
        best = min(best, figures["seconds"])
        assert not {"tensorflow", "keras", "google.protobuf"} & set(figures["modules"])
        if best < 0.3:
            break
    assert best < 0.3


def test_a_program_without_local_computations_runs_without_tensorflow() -> None:
    code = """
import sys, numpy, federated as fed
average = fed.federated_computation(fed.federated_mean, fed.FederatedType(numpy.float32, fed.CLIENTS))
assert average([1.0, 2.0]) == 1.5 and "tensorflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_names_are_those_of_tensorflow_federated() -> None:
    for name in [
        "CLIENTS",
        "SERVER",
        "federated_computation",
        "FederatedType",
        "FunctionType",
        "SequenceType",
        "StructType",
        "StructWithPythonType",
        "TensorType",
        "Type",
        "to_type",
        "to_value",
        "Value",
        "federated_aggregate",
        "federated_broadcast",
        "federated_eval",
        "federated_map",
        "federated_max",
        "federated_mean",
        "federated_min",
        "federated_secure_sum",
        "federated_secure_sum_bitwidth",
        "federated_select",
        "federated_sum",
        "federated_value",
        "federated_zip",
        "sequence_map",
        "sequence_reduce",
        "sequence_sum",
        "tf_computation",
    ]:
        assert hasattr(fed, name), name
