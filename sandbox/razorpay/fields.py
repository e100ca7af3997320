"""Reading a call's fields: JSON of the right kind and length, or Razorpay's sentence about what is wrong with it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from sandbox.razorpay.errors import invalid

NOTES_MAX = 15
NOTE_LENGTH_MAX = 256
INTEGER_MAX = 2**53


class Fields:
    """One level of fields. A query's values are texts, and a number in one is read as a number."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def text(self, name: str, *, limit: int = 255) -> str | None:
        value = self._values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str) or not value.isprintable():
            raise invalid(f"{name}: must be a string.", name)
        if len(value) > limit:
            raise invalid(f"{name}: the length must be no more than {limit}.", name)
        return value

    def integer(self, name: str, *, lowest: int, highest: int = INTEGER_MAX) -> int | None:
        value = self._values.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= len(str(INTEGER_MAX)):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise invalid(f"The {name} must be an integer.", name)
        if value < lowest:
            raise invalid(f"The {name} must be at least {lowest}.", name)
        if value > highest:
            raise invalid(f"The {name} may not be greater than {highest}.", name)
        return value

    def flag(self, name: str) -> bool:
        """True where the field says so in any of the ways that Razorpay's own examples use."""
        return self._values.get(name) in (True, 1, "1", "true")

    def says(self, name: str, *, default: bool) -> bool:
        """Yes or no; anything else is refused."""
        value = self._values.get(name)
        if value is None or value == "":
            return default
        if value not in (True, False, 0, 1, "0", "1"):
            raise invalid(f"The {name.replace('_', ' ')} field must be true or false.", name)
        return value in (True, 1, "1")

    def everything(self) -> dict[str, Any]:
        """All of them, as they were told."""
        return self._values

    def has(self, name: str) -> bool:
        return self._values.get(name) is not None

    def levels(self, name: str, *, limit: int) -> list[Fields]:
        """A list of objects."""
        values = self._values.get(name)
        if values is None:
            return []
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            raise invalid(f"{name}: must be a list of objects.", name)
        if len(values) > limit:
            raise invalid(f"{name}: may not have more than {limit} items.", name)
        return [Fields(value) for value in values]

    def texts(self, name: str, *, limit: int) -> list[str]:
        """A list of texts."""
        values = self._values.get(name)
        if values is None:
            return []
        if not isinstance(values, list) or not all(isinstance(value, str) and value.isprintable() for value in values):
            raise invalid(f"{name}: must be a list of strings.", name)
        if len(values) > limit:
            raise invalid(f"{name}: may not have more than {limit} items.", name)
        return values

    def level(self, name: str) -> Fields:
        """The fields below this one."""
        return Fields(self._object(name))

    def notes(self) -> dict[str, str]:
        """At most fifteen, each a short text; written back as ``[]`` when there are none."""
        notes = self._object("notes")
        if len(notes) > NOTES_MAX:
            raise invalid(f"Number of fields in notes should be less than or equal to {NOTES_MAX}", "notes")
        for key, value in notes.items():
            if isinstance(value, bool) or not isinstance(value, str | int):
                raise invalid("notes values must be strings", "notes")
            if len(key) > NOTE_LENGTH_MAX or len(str(value)) > NOTE_LENGTH_MAX:
                raise invalid(f"value: the length must not be greater than {NOTE_LENGTH_MAX}.", "notes")
        return {key: str(value) for key, value in notes.items()}

    def url(self, name: str) -> str | None:
        value = self.text(name, limit=2048)
        if value is not None and not _is_url(value):
            raise invalid(f"{name}: URL should be sent in {name} field.", name)
        return value

    def _object(self, name: str) -> dict[str, Any]:
        """None where it is missing, or empty as PHP writes it (``[]``)."""
        value = self._values.get(name)
        if value is None or value == []:
            return {}
        if not isinstance(value, dict):
            raise invalid(f"{name}: must be an object.", name)
        return value

    def refuse_extra(self, known: Collection[str]) -> None:
        if set(self._values) - set(known):
            raise invalid("extra fields sent.")


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)
