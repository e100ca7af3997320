"""The one reason why the checkout does not start: a setting that it cannot work with."""

from __future__ import annotations


class WrongSetting(ValueError):
    """The text names the variable, says what is wrong with it, and never shows its value."""
