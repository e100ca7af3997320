"""Where customers come back to, from the gateway's page and from a list of their orders."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import UUID

from checkout.page_tokens import PageTokens


@dataclass(frozen=True, slots=True)
class PageAddresses:
    """``app_url`` is the address at which users reach us, with or without a path."""

    app_url: str
    tokens: PageTokens

    def of_order(self, order_id: UUID) -> str:
        """The page that shows how this order stands, to whoever has the address."""
        query = urlencode({"order": str(order_id), "token": self.tokens.make(order_id)})
        return f"{self.app_url.rstrip('/')}/payment/success?{query}"

    @property
    def cancelled(self) -> str:
        return f"{self.app_url.rstrip('/')}/payment/cancel"
