"""A call's parameters, read as Stripe does: asked for by name and kind, and what nobody asked for is refused."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any
from urllib.parse import urlsplit

from sandbox.store import Created
from sandbox.stripe.errors import StripeError, missing, not_simulated, unknown

TEXT_MAX = 5000
METADATA_KEYS_MAX = 50
METADATA_KEY_MAX = 40
METADATA_VALUE_MAX = 500
INTEGER_MAX = 2**53


class Parameters:
    """One level of parameters. ``path`` is how Stripe names this level in its errors."""

    def __init__(self, values: dict[str, Any], path: str = "") -> None:
        self._values, self._path = values, path
        self._read: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return bool(self._values.get(name, "") != "")

    def is_cleared(self, name: str) -> bool:
        """Whether the call names it and leaves it empty, as one does to take a value away."""
        self._read.add(name)
        return self._values.get(name) == ""

    def name(self, name: str) -> str:
        """The parameter's full name, for errors."""
        return f"{self._path}[{name}]" if self._path else name

    def text(self, name: str, *, limit: int = TEXT_MAX) -> str | None:
        value = self._take(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self._invalid("string", name, value)
        if len(value) > limit:
            message = f"Invalid string: {value[:20]}...; must be at most {limit} characters"
            raise StripeError(message, param=self.name(name))
        return value

    def required_text(self, name: str, *, limit: int = TEXT_MAX) -> str:
        value = self.text(name, limit=limit)
        if value is None:
            raise missing(self.name(name))
        return value

    def integer(self, name: str) -> int | None:
        value = self.text(name)
        if value is None:
            return None
        digits = value.removeprefix("-")
        if not (digits.isascii() and digits.isdecimal()) or len(digits) > len(str(INTEGER_MAX)):
            message = f"Invalid integer: {value[:20]}"
            raise StripeError(message, code="parameter_invalid_integer", param=self.name(name))
        return int(value)

    def flag(self, name: str) -> bool | None:
        value = self.text(name)
        if value not in {None, "true", "false"}:
            raise self._invalid("boolean", name, value)
        return None if value is None else value == "true"

    def choice(self, name: str, among: Collection[str]) -> str | None:
        value = self.text(name)
        if value is not None and value not in among:
            message = f"Invalid {self.name(name)}: must be one of {', '.join(sorted(among))}"
            raise StripeError(message, param=self.name(name))
        return value

    def url(self, name: str) -> str | None:
        """An address for a browser: http or https, and nothing that could run as a script."""
        value = self.text(name)
        if value is not None and not _is_url(value):
            raise StripeError("Not a valid URL", code="url_invalid", param=self.name(name))
        return value

    def level(self, name: str) -> Parameters | None:
        """The parameters below this one."""
        value = self._take(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self._invalid("object", name, value)
        return Parameters(value, self.name(name))

    def tree(self, name: str) -> dict[str, Any] | None:
        """Everything below a name, as it was told."""
        value = self._take(name)
        if value is not None and not isinstance(value, dict):
            raise self._invalid("object", name, value)
        return value

    def levels(self, name: str) -> list[Parameters]:
        """A list of such levels; empty where there is none."""
        value = self._take(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self._invalid("array", name, value)
        return [Parameters(item, f"{self.name(name)}[{place}]") for place, item in enumerate(value)]

    def texts(self, name: str) -> list[str] | None:
        value = self._take(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._invalid("array", name, value)
        return value

    def metadata(self, before: dict[str, str] | None = None) -> dict[str, str]:
        """What was there before, with the call's changes: an empty value takes its key away."""
        kept = dict(before or {})
        value = self._take("metadata")
        if value is None:
            return {} if "metadata" in self._values else kept
        if not isinstance(value, dict):
            raise self._invalid("object", "metadata", value)
        for key, text in value.items():
            self._check_metadata(key, text)
            kept[key] = text
        kept = {key: text for key, text in kept.items() if text != ""}
        if len(kept) > METADATA_KEYS_MAX:
            message = f"Metadata can have up to {METADATA_KEYS_MAX} keys, but you passed in {len(kept)}."
            raise StripeError(message, param=self.name("metadata"))
        return kept

    def created(self) -> Created:
        """The filter on a list: ``created=N`` or ``created[gte]=N`` and its like."""
        return self.span("created")

    def span(self, name: str) -> Created:
        """The same for any other moment."""
        if isinstance(self._values.get(name), str):
            exact = self.integer(name) or 0
            return Created(exact, exact)
        level = self.level(name)
        if level is None:
            return Created()
        gte, gt, lte, lt = (level.integer(name) for name in ("gte", "gt", "lte", "lt"))
        level.refuse_rest()
        since = max(gte if gte is not None else 0, gt + 1 if gt is not None else 0)
        until = min(lte if lte is not None else INTEGER_MAX, lt - 1 if lt is not None else INTEGER_MAX)
        return Created(since, until)

    def accept(self, names: Iterable[str]) -> None:
        """Takes parameters that Stripe knows and that make no difference in here."""
        self._read.update(names)

    def refuse_simulation_of(self, names: Iterable[str]) -> None:
        """Stripe would act on these; switched off, as in ``automatic_tax[enabled]=false``, they ask for nothing."""
        for name in names:
            if name in self and self._values[name] != {"enabled": "false"}:
                raise not_simulated(self.name(name))
            self._read.add(name)

    def refuse_rest(self) -> None:
        """Every parameter has been asked for, or Stripe does not know it."""
        for name in self._values:
            if name not in self._read:
                raise unknown(self.name(name))

    def _take(self, name: str) -> Any:
        self._read.add(name)
        value = self._values.get(name, "")
        return None if value == "" else value

    def _check_metadata(self, key: str, text: Any) -> None:
        param = self.name(f"metadata[{key}]" if not self._path else "metadata")
        if not isinstance(text, str):
            raise self._invalid("string", "metadata", text)
        if len(key) > METADATA_KEY_MAX:
            raise StripeError(
                f"Metadata keys can have up to {METADATA_KEY_MAX} characters, but you passed in a key that is"
                f" {len(key)} characters. Invalid key: {key[:100]}",
                param=param,
            )
        if len(text) > METADATA_VALUE_MAX:
            raise StripeError(
                f"Metadata values can have up to {METADATA_VALUE_MAX} characters, but you passed in a value that is"
                f" {len(text)} characters. Invalid value: {text[:100]}...",
                param=param,
            )

    def _invalid(self, kind: str, name: str, value: object) -> StripeError:
        return StripeError(f"Invalid {kind}: {str(value)[:50]}", param=self.name(name))


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    # The parser drops line ends without a word; a browser would be sent elsewhere than we were told.
    return value.isprintable() and parts.scheme in {"http", "https"} and bool(parts.hostname)
