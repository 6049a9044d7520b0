"""What an import brings along, seen in a fresh interpreter. (Which package imports which is `lint-imports`' to say.)"""

import json
import subprocess
import sys

import pytest

SERVER_ONLY = {"fastapi", "starlette", "sqlalchemy", "alembic", "pydantic", "uvicorn"}
TENSORFLOW = {"tensorflow", "keras"}
FORBIDDEN = {
    "wire.codec, wire.messages, wire.tensors, wire.statements, wire.operator": {
        *SERVER_ONLY,
        *TENSORFLOW,
        "cryptography",
        "urllib3",
        "ai_edge_litert",
        "tflite_runtime",
    },
    "plans.client, plans.server, plans.accumulators, plans.contract": {*SERVER_ONLY, *TENSORFLOW, "cryptography"},
    "device_sdk, device_sdk.agent, device_sdk.http, device_sdk.cli": {*SERVER_ONLY, *TENSORFLOW},
    "orchestrator, orchestrator.app, orchestrator.worker, orchestrator.cli": TENSORFLOW,
    "federated, federated.cli.main": {*SERVER_ONLY, *TENSORFLOW},
    "model_export": TENSORFLOW,
}


@pytest.mark.parametrize("modules", FORBIDDEN, ids=lambda modules: str(modules).split(",")[0].split(".")[0])
def test_an_import_brings_nothing_heavy_along(modules: str) -> None:
    code = f"import {modules}, sys, json; print(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not FORBIDDEN[modules] & set(json.loads(found.stdout))


@pytest.mark.parametrize("package", ["wire", "plans", "device_sdk", "orchestrator", "federated", "model_export"])
def test_importing_a_package_has_no_effect(package: str) -> None:
    """No thread, no handler, no file: only modules."""
    code = (
        f"import threading, logging, os; before = dict(os.environ); import {package}; "
        "assert threading.active_count() == 1 and not logging.root.handlers and dict(os.environ) == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
