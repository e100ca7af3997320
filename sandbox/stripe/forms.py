"""Form fields with brackets in their names, as the SDKs write nested values: ``line_items[0][price]=price_1``."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from sandbox.stripe.errors import StripeError

FIELDS_MAX = 1000
DEPTH_MAX = 8

_NAME = re.compile(r"[^\[\]]+(\[[^\[\]]*\])*")

#: A value, a list of values, or values by name.
Tree = dict[str, Any]


def decode(encoded: str) -> Tree:
    """The fields as a tree; ``a[]`` and ``a[0]`` make lists, in the order of their numbers."""
    try:
        fields = parse_qsl(encoded, keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except ValueError:
        raise StripeError("Invalid request: the parameters could not be decoded.") from None
    tree: Tree = {}
    for name, value in fields:
        _plant(tree, name, value)
    return _with_names_kept(tree)


def _plant(tree: Tree, name: str, value: str) -> None:
    if not _NAME.fullmatch(name) or "\0" in name + value:
        raise _invalid(name)
    path = re.findall(r"[^\[\]]+|(?<=\[)(?=\])", name)
    if len(path) > DEPTH_MAX:
        raise _invalid(name)
    branch = tree
    for step in path[:-1]:
        below = branch.setdefault(step, {})
        if not isinstance(below, dict):
            raise _invalid(name)
        branch = below
    # ``a[]=x&a[]=y``: the next free place.
    leaf = path[-1] or str(len(branch))
    if isinstance(branch.get(leaf), dict):
        raise _invalid(name)
    branch[leaf] = value


def _with_names_kept(branch: Tree) -> Tree:
    # A key of metadata may be a number; it is a name all the same.
    return {step: below if step == "metadata" else _with_lists(below) for step, below in branch.items()}


def _with_lists(branch: Any) -> Any:
    if not isinstance(branch, dict):
        return branch
    grown = _with_names_kept(branch)
    if grown and all(step.isascii() and step.isdecimal() for step in grown):
        return [grown[step] for step in sorted(grown, key=int)]
    return grown


def _invalid(name: str) -> StripeError:
    return StripeError(f"Invalid parameter name: {name[:100]!r}")
