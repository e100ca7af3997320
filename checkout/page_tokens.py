"""What lets a success page read the status of its one order, and nothing else: the order's id under our own key.

It is not stored and does not expire: it is in the customer's address bar, and shows them what they bought.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from checkout.tokens import SECRET_BYTES_MIN
from checkout.wrong_setting import WrongSetting


@dataclass(frozen=True, slots=True)
class PageTokens:
    key: bytes = field(repr=False)

    @classmethod
    def of(cls, page_secret: str | None, auth_secret: str | None) -> Self:
        """From PAGE_SECRET, else derived from AUTH_JWT_SECRET, so that neither key can be told from the other."""
        if page_secret is not None:
            if len(page_secret.encode()) < SECRET_BYTES_MIN:
                raise WrongSetting(f"PAGE_SECRET must have at least {SECRET_BYTES_MIN} bytes")
            return cls(_derive(page_secret))
        if auth_secret is not None:
            return cls(_derive(auth_secret))
        raise WrongSetting("PAGE_SECRET is needed with AUTH_JWKS_URL: success pages read their order's status by it")

    def make(self, order_id: UUID) -> str:
        return urlsafe_b64encode(_digest(self.key, order_id.bytes)).rstrip(b"=").decode()

    def fits(self, order_id: UUID, token: str) -> bool:
        return hmac.compare_digest(self.make(order_id).encode(), token.encode("utf-8", "surrogatepass"))


def _derive(secret: str) -> bytes:
    return _digest(secret.encode(), b"counterfoil page tokens")


def _digest(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()
