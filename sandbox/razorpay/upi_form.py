"""The UPI form as it comes back: the address that was typed, or what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox import pages
from sandbox.pages import Told
from sandbox.razorpay.payments import UPI_FAILURE, UPI_SUCCESS

VPA_MAX = 60

#: The addresses that work, and what they do.
VPAS = ((UPI_SUCCESS, "pays"), (UPI_FAILURE, "is declined"))


def read_vpa(form: Mapping[str, str]) -> str | Told:
    """The address; or what the form says when it is shown again."""
    vpa = form.get("vpa", "").strip()
    if vpa in {UPI_SUCCESS, UPI_FAILURE}:
        return vpa
    mistakes = {"vpa": f"Only {UPI_SUCCESS} and {UPI_FAILURE} work here."}
    return Told(mistakes=mistakes, kept=pages.keep(vpa=vpa[:VPA_MAX]))
