"""What Counterfoil tells the shop's backend: signed notifications, as Standard Webhooks has them.

A real shop would ship its goods on ``payment.completed``. This one remembers what it was told, until it is restarted.
"""

from __future__ import annotations

import base64
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

KEPT = 500


class WrongSecret(ValueError):
    """The shop cannot start with this NOTIFY_SECRET. The text never shows it."""


@dataclass(frozen=True, slots=True)
class Notifications:
    """``signers``: one for each secret of NOTIFY_SECRET. Without one nothing is believed."""

    signers: Sequence[Webhook] = field(default=(), repr=False)
    heard: OrderedDict[str, dict[str, Any]] = field(default_factory=OrderedDict, repr=False)

    @classmethod
    def of(cls, secrets: str) -> Notifications:
        """Of NOTIFY_SECRET: one secret, or several, separated by commas."""
        return cls(tuple(Webhook(_key(secret.strip())) for secret in secrets.split(",") if secret.strip()))

    def hear(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """Remember it under its id, so that a repeat changes nothing. False: its signature is not Counterfoil's."""
        for signer in self.signers:
            try:
                notice = signer.verify(body, dict(headers))
            except (WebhookVerificationError, ValueError):  # a header that is not base64 is a ValueError
                continue
            self.heard[str(notice["id"])] = notice
            if len(self.heard) > KEPT:
                self.heard.popitem(last=False)
            return True
        return False

    def about(self, user_id: str) -> list[dict[str, Any]]:
        """Newest first."""
        return [notice for notice in reversed(self.heard.values()) if notice["data"].get("userId") == user_id]


def _key(secret: str) -> bytes:
    """Decoded strictly, as by who signs: the library would skip what is not base64, and then believe nobody."""
    text = secret.removeprefix("whsec_").rstrip("=")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise WrongSecret("NOTIFY_SECRET must be whsec_ and the base64 of random bytes, or several with commas between")
    return key
