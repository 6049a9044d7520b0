"""URLs are signed as Amazon's own library signs them."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from orchestrator.storage.presigned import Signer

NOW = 1_800_000_000.0
KEY = "a prefix/updates/assignment/" + "ab" * 32 + "/000000000000"


def sign(**changes: str | None) -> str:
    fields: dict[str, str | None] = {
        "bucket_url": "https://bucket.s3.eu-west-1.amazonaws.com",
        "region": "eu-west-1",
        "access_key_id": "AKIAEXAMPLE",
        "secret_access_key": "secret/with+signs=",
        "session_token": None,
    }
    return Signer(**{**fields, **changes}, clock=lambda: NOW).put_url(KEY, 1234, 600)  # type: ignore[arg-type]


def oracle(url: str, session_token: str | None) -> str:
    """The same request, signed by botocore."""
    botocore = pytest.importorskip("botocore", reason="pip install 'fedelta[dev]' brings botocore")
    from botocore.auth import S3SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    assert botocore
    credentials = Credentials("AKIAEXAMPLE", "secret/with+signs=", session_token)
    request = AWSRequest("PUT", url, headers={"Content-Length": "1234"})
    S3SigV4QueryAuth(credentials, "s3", "eu-west-1", expires=600).add_auth(request)
    return str(request.url)


@pytest.mark.parametrize("session_token", [None, "a/session+token=="])
@pytest.mark.parametrize("bucket_url", ["https://bucket.s3.eu-west-1.amazonaws.com", "http://127.0.0.1:9000/bucket"])
def test_a_signature_is_the_one_that_the_store_expects(
    monkeypatch: pytest.MonkeyPatch, bucket_url: str, session_token: str | None
) -> None:
    signed = sign(bucket_url=bucket_url, session_token=session_token)
    auth = pytest.importorskip("botocore.auth", reason="pip install 'fedelta[dev]' brings botocore")
    monkeypatch.setattr(auth, "get_current_datetime", lambda: datetime.fromtimestamp(NOW, UTC))
    expected = oracle(f"{bucket_url}/{KEY.replace(' ', '%20')}", session_token)
    assert parse_qs(urlsplit(signed).query) == parse_qs(urlsplit(expected).query)
    assert urlsplit(signed)[:3] == urlsplit(expected)[:3]


def test_a_url_is_good_for_one_size_and_some_minutes() -> None:
    query = parse_qs(urlsplit(sign()).query)
    assert query["X-Amz-SignedHeaders"] == ["content-length;host"]
    assert query["X-Amz-Expires"] == ["600"]
    assert "secret" not in sign()
