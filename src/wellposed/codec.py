"""Trees of dataclasses, tuples, numbers and tensors as JSON plus named tensors.

What a run must remember (problem, prior, method, state) is made of frozen dataclasses and
NamedTuples of this package. ``encode`` turns such a tree into JSON with references into a
table of tensors; ``decode`` builds it again through the classes' own constructors, so their
checks run again. Only classes of this package are ever looked up: nothing is executed that a
file names. Tensors that are shared in the tree stay shared.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from wellposed.errors import StoreError, WellposedError

PACKAGE = "wellposed"
AGAIN = "restore the file, or start the run again in a new folder"


class NotStorableError(StoreError):
    """Something in the tree, such as a user's function, cannot be written to a file."""


def encode(tree: Any, tensors: dict[str, Tensor], path: str = "root") -> Any:
    """Return the JSON form of a tree and add its tensors to the table.

    Raises
    ------
    NotStorableError
        The tree holds a function or an object of a class outside this package.
    """
    if tree is None or isinstance(tree, (bool, int, str)):
        return tree
    if isinstance(tree, float):
        return tree if math.isfinite(tree) else {"float": str(tree)}
    if isinstance(tree, Tensor):
        return {"tensor": _name(tree, tensors, path)}
    if isinstance(tree, (torch.dtype, torch.device)):
        return {type(tree).__name__: str(tree).removeprefix("torch.")}
    if isinstance(tree, Enum):
        return _class(tree, {"value": tree.value}, tensors, path)
    if isinstance(tree, dict):
        return {"dict": {str(k): encode(v, tensors, f"{path}.{k}") for k, v in tree.items()}}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return _class(tree, dict(zip(tree._fields, tree, strict=True)), tensors, path)
    if isinstance(tree, (tuple, list)):
        return {"list": [encode(v, tensors, f"{path}.{i}") for i, v in enumerate(tree)]}
    if dataclasses.is_dataclass(tree):
        names = [f.name for f in dataclasses.fields(tree) if f.init]
        return _class(tree, {n: getattr(tree, n) for n in names}, tensors, path)
    raise NotStorableError(
        f"{path} is a {type(tree).__name__}, which cannot be written to a file",
        "only data and this package's own classes can; functions cannot",
        "resume by calling wp.recover again with the same arguments and the same folder",
    )


def decode(node: Any, tensors: dict[str, Tensor]) -> Any:
    """Build a tree again from its JSON form and its tensors.

    Raises
    ------
    StoreError
        The form was edited, or written by another version.
    """
    try:
        return _decode(node, tensors)
    except WellposedError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        raise StoreError(
            f"the form of the data cannot be read: {type(error).__name__}: {str(error)[:100]}",
            "the file was edited, or written by another version",
            AGAIN,
        ) from None


def _decode(node: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(node, dict):
        return node
    kind: str
    body: Any
    kind, body = next(iter(node.items())) if len(node) == 1 else ("class", node)
    if kind == "float":
        return float(body)
    if kind == "tensor":
        return _lookup(tensors, body)
    if kind == "dtype":
        return _dtype(body)
    if kind == "device":
        return torch.device(body)
    if kind == "dict":
        return {k: _decode(v, tensors) for k, v in body.items()}
    if kind == "list":
        return tuple(_decode(v, tensors) for v in body)
    return _build(body, tensors)


def _name(tensor: Tensor, tensors: dict[str, Tensor], path: str) -> str:
    for known, other in tensors.items():
        if other is tensor:
            return known
    tensors[path] = tensor
    return path


def _lookup(tensors: dict[str, Tensor], name: str) -> Tensor:
    if name not in tensors:
        raise StoreError(f"the tensor {name!r} is missing", "the file was cut or edited", AGAIN)
    return tensors[name]


def _class(tree: Any, fields: dict[str, Any], tensors: dict[str, Tensor], path: str) -> Any:
    module = type(tree).__module__
    if module.split(".")[0] != PACKAGE:
        raise NotStorableError(
            f"{path} is a {type(tree).__name__} of module {module}",
            "only this package's own classes can be built again from a file",
            "resume by calling wp.recover again with the same arguments and the same folder",
        )
    body = {k: encode(v, tensors, f"{path}.{k}") for k, v in fields.items()}
    return {"type": f"{module}:{type(tree).__qualname__}", "fields": body}


def _dtype(name: str) -> torch.dtype:
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise StoreError(f"{name!r} is no type of numbers", "the file was edited", AGAIN)
    return found


def _build(node: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    if set(node) != {"type", "fields"}:
        raise StoreError(
            f"unexpected node with keys {sorted(node)[:5]}", "the file was edited", AGAIN
        )
    module, _, name = str(node["type"]).partition(":")
    # __main__ would run the command line
    if module.split(".")[0] != PACKAGE or "__" in module or not name.isidentifier():
        raise StoreError(
            f"the file names the class {node['type']!r}, outside this package",
            "nothing that a file names is run",
            AGAIN,
        )
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise StoreError(
            f"the class {node['type']!r} does not exist in this version",
            "the file was written by another version",
            AGAIN,
        ) from None
    if not _is_data(cls):
        raise StoreError(
            f"the file names {node['type']!r}, which holds no data", "the file was edited", AGAIN
        )
    fields = {k: _decode(v, tensors) for k, v in node["fields"].items()}
    if issubclass(cls, Enum):
        return cls(fields["value"])
    return cls(**fields)


def _is_data(cls: Any) -> bool:
    return isinstance(cls, type) and (
        dataclasses.is_dataclass(cls)
        or issubclass(cls, Enum)
        or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
    )
