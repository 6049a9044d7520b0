"""Makes `wire/golden/`: what every implementation of the device protocol must read and write, byte for byte.

    python -m tests.golden.make_documents

    <message>.json      one canonical document of each message: the exact bytes of `wire.codec.dumps`
    <...>.<variant>     a second form of a message, where it has two
    statements.json     the exact bytes of each statement in hexadecimal, and its signature by a key that is given
    tensors.json        a small safetensors file in hexadecimal, with the values it holds

Python's tests hold the files to the code, and a Java reader's tests read the same files.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wire import codec, routes, statements, tensors
from wire.messages import (
    Assignment,
    Challenge,
    CheckIn,
    CheckInReply,
    CollectionSummary,
    Enrolled,
    Enrolment,
    Outcome,
    PlanStatement,
    Problem,
    PublicKey,
    Rejection,
    ReleasedModel,
    Report,
    ReportReceipt,
    Resource,
    Runtime,
    Session,
    SessionRequest,
    SignedPlan,
    UpdateManifest,
    Upload,
    UploadPart,
)
from wire.tensors import Array

GOLDEN = Path(__file__).parents[2] / "wire" / "golden"

# A key for tests alone: the bytes 0 to 31.
PRIVATE_KEY = bytes(range(32))
PUBLIC_KEY = statements.to_base64(Ed25519PrivateKey.from_private_bytes(PRIVATE_KEY).public_key().public_bytes_raw())

DEVICE_ID = "7d5f3ef2-3f1b-4f0e-9a53-0c1d8f0f6a11"
ASSIGNMENT_ID = "c2b7c1de-52a3-4ee7-8c35-19f1a4b0a9d2"
TASK_ID = "1b0f2d1c-97a0-4f3b-8a38-5b7f6f5f4e3d"
TOKEN = "fde_" + "5e" * 32
CHALLENGE = "c4" * 32
PLAN = Resource("aa" * 32, 29729)
BROADCAST = Resource("bb" * 32, 224)
UPDATE = Resource("cc" * 32, 216)

PLAN_STATEMENT = PlanStatement(
    plan_sha256=PLAN.sha256,
    task_id=TASK_ID,
    population="sensors",
    version=1,
    expires=1_800_000_000,
    key_id="56475aa75463474c",
    algorithm=statements.ED25519,
    privacy={"noise": "none"},
)
UNSIGNED_MODEL = ReleasedModel(
    "released", "sensors", TASK_ID, 3, Resource("dd" * 32, 31337), PLAN_STATEMENT.key_id, statements.ED25519, ""
)
STATEMENTS = {
    "enrolment": statements.enrolment(TOKEN, PUBLIC_KEY),
    "session": statements.session(DEVICE_ID, CHALLENGE),
    "update": statements.update(ASSIGNMENT_ID, 3, UPDATE.sha256),
    "plan": statements.plan(PLAN_STATEMENT),
    "model": statements.model(UNSIGNED_MODEL),
}


def sign(purpose: str) -> str:
    """The signature of the golden key over a golden statement. Ed25519 gives the same one every time."""
    return statements.to_base64(Ed25519PrivateKey.from_private_bytes(PRIVATE_KEY).sign(STATEMENTS[purpose]))


SIGNED_PLAN = SignedPlan(PLAN, PLAN_STATEMENT, sign("plan"))
ASSIGNMENT = Assignment(
    assignment_id=ASSIGNMENT_ID,
    task_id=TASK_ID,
    task_name="Zählerstände 😀",
    round_number=3,
    work="train",
    plan=SIGNED_PLAN,
    broadcast=BROADCAST,
    deadline_seconds=599.5,
    seed=2_147_483_647,
    upload=(
        UploadPart("PUT", f"/v1/assignments/{ASSIGNMENT_ID}/update", 0, 200),
        UploadPart("PUT", "https://store.example.org/part-2", 200, 16, {"X-Signature": "abc"}),
    ),
)
RUNTIME = Runtime("0.1.0", "ai-edge-litert", "2.3.0", ("mean", "passes", "sum"))

DOCUMENTS: dict[str, object] = {
    "problem": Problem(503, "unavailable", "the server cannot keep anything just now", "Service Unavailable", 2.0),
    "problem.short": Problem(404, "not_found", 'there is no device "x"'),
    "enrolment": Enrolment(TOKEN, statements.ED25519, PUBLIC_KEY, sign("enrolment")),
    "enrolled": Enrolled(DEVICE_ID, "sensors", (PublicKey("56475aa75463474c", statements.ED25519, PUBLIC_KEY),)),
    "challenge": Challenge(CHALLENGE, 60.0),
    "session_request": SessionRequest(CHALLENGE, sign("session")),
    "session": Session("fds_" + "ab" * 32, 3600.0),
    "check_in": CheckIn(RUNTIME, (CollectionSummary("default", 512),), {"model": "pi-4", "place": "garden"}),
    "check_in.short": CheckIn(RUNTIME),
    "check_in_reply.assignment": CheckInReply(assignment=ASSIGNMENT),
    "check_in_reply.rejection": CheckInReply(rejection=Rejection(7.25, "no round wants this device now")),
    "plan_statement": PLAN_STATEMENT,
    "upload": Upload(
        (
            UploadPart(
                "PUT",
                routes.update(ASSIGNMENT_ID),
                100,
                116,
                {routes.DIGEST_HEADER: UPDATE.sha256, routes.OFFSET_HEADER: "100"},
            ),
        )
    ),
    "upload.elsewhere": Upload((UploadPart("PUT", "https://store.example/part?signature=1", 0, 216),)),
    "upload.complete": Upload(),
    "resource": UPDATE,
    "released_model": replace(UNSIGNED_MODEL, signature=sign("model")),
    "report.completed": Report(
        Outcome.COMPLETED, {"loss_count": 10.0, "loss_sum": 0.1}, UpdateManifest(UPDATE, sign("update"))
    ),
    "report.declined": Report(Outcome.DECLINED, reason="no collection 'default'"),
    "report.failed": Report(Outcome.FAILED, reason="the deadline passed after 3 of 10 steps"),
    "report_receipt": ReportReceipt(ASSIGNMENT_ID, Outcome.COMPLETED, UPDATE.sha256),
    "report_receipt.declined": ReportReceipt(ASSIGNMENT_ID, Outcome.DECLINED),
}

TENSORS: dict[str, Array] = {
    "kernel": np.array([[1.5, -2.0], [0.1, 3e38]], np.float32),
    "bias": np.array(-0.5, np.float32),
    "count": np.array([1, -(2**40)], np.int64),
    "image": np.array([0, 127, 255], np.uint8),
    "mask": np.array([True, False]),
    "none": np.zeros((0, 3), np.float32),
}


def golden_files() -> dict[str, bytes]:
    """Every file of the folder, by name."""
    documents = {f"{name}.json": codec.dumps(document) for name, document in DOCUMENTS.items()}
    return documents | {"statements.json": codec.dumps(_statements()), "tensors.json": codec.dumps(_tensors())}


def _statements() -> dict[str, object]:
    return {
        "private_key": PRIVATE_KEY.hex(),
        "public_key": PUBLIC_KEY,
        "statements": {
            "enrolment": {"token": TOKEN, "public_key": PUBLIC_KEY} | _signed("enrolment"),
            "session": {"device_id": DEVICE_ID, "challenge": CHALLENGE} | _signed("session"),
            "update": {"assignment_id": ASSIGNMENT_ID, "round_number": 3, "sha256": UPDATE.sha256} | _signed("update"),
            "plan": {"statement": PLAN_STATEMENT} | _signed("plan"),
            "model": {"released": UNSIGNED_MODEL} | _signed("model"),
        },
    }


def _signed(purpose: str) -> dict[str, object]:
    return {"bytes": STATEMENTS[purpose].hex(), "signature": sign(purpose)}


def _tensors() -> dict[str, object]:
    values = {
        name: {"dtype": str(array.dtype), "shape": list(array.shape), "values": array.ravel().tolist()}
        for name, array in TENSORS.items()
    }
    return {"bytes": tensors.encode(TENSORS).hex(), "tensors": values}


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, data in golden_files().items():
        (GOLDEN / name).write_bytes(data)
    print(f"{GOLDEN}: {len(golden_files())} files")
