"""The first start makes what a server needs; a folder belongs to one server."""

from pathlib import Path

import pytest

from orchestrator.app import open_context
from orchestrator.errors import DataFolderError
from orchestrator.settings import Settings
from orchestrator.signing import load_signer
from tests.orchestrator.serving import Orchestrator
from wire.operator import OperatorClient


def test_the_first_start_makes_a_key_a_population_and_a_token_for_one_device(tmp_path: Path) -> None:
    context, secrets = open_context(Settings(tmp_path / "new" / "data"))
    try:
        assert secrets is not None
        assert secrets.api_key.startswith("fdo_")
        assert secrets.enrolment_token.startswith("fde_")
        assert secrets.population == "default"
    finally:
        context.database.close()
        context.data_dir_lock.close()


def test_the_token_of_the_first_start_enrols_a_device(tmp_path: Path) -> None:
    orchestrator = Orchestrator(tmp_path / "data")
    orchestrator.clock.now = 1.0
    orchestrator.start()
    try:
        assert orchestrator.secrets is not None
        device = orchestrator.population("other").stranger()
        assert device.enrol(orchestrator.secrets.enrolment_token).population == "default"
        assert OperatorClient(orchestrator.url, orchestrator.secrets.api_key).ready()
    finally:
        orchestrator.stop()


def test_a_second_start_makes_no_secrets_and_keeps_the_signing_key(own: Orchestrator) -> None:
    key = own.context.signer.public_key
    own.restart()
    assert own.secrets is None
    assert own.context.signer.public_key == key
    assert list(own.operator.tasks()) == []


def test_what_is_secret_is_readable_by_its_owner_only(own: Orchestrator) -> None:
    assert own.folder.stat().st_mode & 0o777 == 0o700
    assert (own.folder / "plan-signing-key.pem").stat().st_mode & 0o777 == 0o600


def test_two_servers_never_share_a_folder(own: Orchestrator) -> None:
    with pytest.raises(DataFolderError, match="another orchestrator serves"):
        open_context(Settings(own.folder))
    own.restart()


def test_a_signing_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(X25519_KEY)
    with pytest.raises(DataFolderError, match="expected an Ed25519 key"):
        load_signer(path)


def test_a_signing_key_that_went_missing_is_not_replaced_behind_the_devices_backs(own: Orchestrator) -> None:
    own.stop()
    key = own.folder / "plan-signing-key.pem"
    kept = key.read_bytes()
    key.unlink()
    with pytest.raises(DataFolderError, match="restore it from a backup"):
        open_context(Settings(own.folder))
    assert not key.exists()
    key.write_bytes(kept)
    own.start()


def test_a_database_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fedelta.db").write_bytes(b"not a database" * 100)
    with pytest.raises(DataFolderError, match="cannot be used"):
        open_context(Settings(tmp_path))


@pytest.mark.parametrize("seconds", [0.0, -5.0, float("nan"), float("inf")])
def test_a_check_in_interval_is_a_positive_number(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(ValueError, match="check_in_seconds must be a positive number"):
        Settings(tmp_path, check_in_seconds=seconds)


# An X25519 key, made for this test.
X25519_KEY = b"""-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VuBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq
-----END PRIVATE KEY-----
"""
