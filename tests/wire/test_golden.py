"""`wire/golden` is what the code says, so that a reader in another language may stand on it."""

import json
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.golden.make_documents import DOCUMENTS, GOLDEN, golden_files
from tests.wire.documents import MESSAGES
from wire import codec, messages, statements, tensors
from wire.messages import PlanStatement, ReleasedModel


def read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((GOLDEN / name).read_bytes())
    return document


def test_the_files_are_up_to_date() -> None:
    kept = {path.name: path.read_bytes() for path in GOLDEN.iterdir()}
    assert kept == golden_files(), "run: python -m tests.golden.make_documents"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_document_is_read_and_written_again_byte_for_byte(name: str) -> None:
    data = (GOLDEN / f"{name}.json").read_bytes()
    document = codec.loads(type(DOCUMENTS[name]), data)
    assert document == DOCUMENTS[name]
    assert codec.dumps(document) == data


def test_every_message_of_the_device_protocol_stands_in_some_document() -> None:
    shown: set[type] = set()

    def walk(value: object) -> None:
        shown.add(type(value))
        for item in vars(value).values() if type(value) in MESSAGES else ():
            for part in item if isinstance(item, tuple) else (item,):
                walk(part)

    for document in DOCUMENTS.values():
        walk(document)
    assert {kind for kind in MESSAGES if kind.__module__ == messages.__name__} <= shown


def test_every_statement_has_the_bytes_that_are_signed() -> None:
    golden = read("statements.json")
    key = Ed25519PublicKey.from_public_bytes(statements.from_base64(golden["public_key"], "$"))
    for purpose, fields in golden["statements"].items():
        signed, signature = bytes.fromhex(fields.pop("bytes")), statements.from_base64(fields.pop("signature"), "$")
        if purpose == "plan":
            fields["statement"] = codec.from_json(PlanStatement, fields["statement"])
        if purpose == "model":
            fields["released"] = codec.from_json(ReleasedModel, fields["released"])
        assert getattr(statements, purpose)(**fields) == signed
        key.verify(signature, signed)


def test_the_tensor_file_holds_its_values() -> None:
    golden = read("tensors.json")
    found = tensors.decode(bytes.fromhex(golden["bytes"]))
    assert found.keys() == golden["tensors"].keys()
    for name, expected in golden["tensors"].items():
        array = np.array(expected["values"], expected["dtype"]).reshape(expected["shape"])
        np.testing.assert_array_equal(found[name], array, strict=True)
