"""URLs that let their bearer put one object of one exact size into an S3-compatible store, for a short time.

AWS Signature Version 4 in the query ("Authenticating Requests: Using Query Parameters", Amazon S3 API Reference). The
length is among the signed headers, so the store itself refuses a body of another size before it keeps a byte of it;
that is why the URLs are made here: `obstore.sign` signs the host alone.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"
_SIGNED_HEADERS = "content-length;host"


@dataclass(frozen=True)
class Signer:
    """Who signs, and for which bucket.

    Attributes:
        bucket_url: where the bucket's objects are, as `https://bucket.s3.eu-west-1.amazonaws.com`.
        session_token: of temporary credentials.
        clock: UTC seconds since 1970.
    """

    bucket_url: str
    region: str
    access_key_id: str
    secret_access_key: str
    session_token: str | None
    clock: Callable[[], float]

    def put_url(self, key: str, size_bytes: int, lifetime_seconds: int) -> str:
        """Where `size_bytes` bytes may be put as the object `key`, by a request that says `Content-Length`."""
        now = datetime.fromtimestamp(self.clock(), UTC)
        moment, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
        scope = f"{day}/{self.region}/s3/aws4_request"
        query = {
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{self.access_key_id}/{scope}",
            "X-Amz-Date": moment,
            "X-Amz-Expires": str(lifetime_seconds),
            "X-Amz-SignedHeaders": _SIGNED_HEADERS,
        }
        if self.session_token is not None:
            query["X-Amz-Security-Token"] = self.session_token
        bucket = urlsplit(self.bucket_url)
        path = f"{bucket.path}/{quote(key)}"
        text = "&".join(f"{name}={quote(value, safe='')}" for name, value in sorted(query.items()))
        headers = f"content-length:{size_bytes}\nhost:{bucket.netloc}\n"
        request = "\n".join(("PUT", path, text, headers, _SIGNED_HEADERS, "UNSIGNED-PAYLOAD"))
        to_sign = "\n".join((_ALGORITHM, moment, scope, hashlib.sha256(request.encode()).hexdigest()))
        signature = _hmac(self._key(day), to_sign).hex()
        return f"{bucket.scheme}://{bucket.netloc}{path}?{text}&X-Amz-Signature={signature}"

    def _key(self, day: str) -> bytes:
        key = f"AWS4{self.secret_access_key}".encode()
        for part in (day, self.region, "s3", "aws4_request"):
            key = _hmac(key, part)
        return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
