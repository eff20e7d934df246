"""What records say of an intervention."""

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from torch import Tensor

from repalign.directions import Direction
from repalign.readouts import Readout
from repalign.sites import Site

# Which model and which probe; the rest of an origin is in the record of its own run.
_SOURCE = ("model", "weights", "probe", "dataset", "span")


def described(intervention: Any) -> dict[str, Any]:
    """An intervention as plain data: its name and settings, with fingerprints for arrays.

    What is no dataclass, such as a function of the user's, is called by its name alone.
    """
    if not is_dataclass(intervention):
        return {"intervention": name_of(intervention)}
    named = {"intervention": "inner"}
    settings = {
        named.get(field.name, field.name): _plain(getattr(intervention, field.name))
        for field in fields(intervention)
    }
    return {"intervention": type(intervention).__name__, **settings}


def name_of(function: Any) -> str:
    """The name of a function or class, and of its module, which stay from run to run."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def parts(intervention: Any) -> Iterator[Any]:
    """An intervention and, one by one, everything that it is made of."""
    yield intervention
    if isinstance(intervention, tuple | list):
        for part in intervention:
            yield from parts(part)
    elif is_dataclass(intervention) and not isinstance(intervention, Direction):
        for part in fields(intervention):
            yield from parts(getattr(intervention, part.name))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        # JSON knows no infinity; a bound that does not bind is none.
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, int | str):
        return value
    if isinstance(value, Site):
        return str(value)
    if isinstance(value, Direction):
        return {
            "site": str(value.site),
            "scale": value.scale,
            "fingerprint": value.fingerprint,
            "origin": _source(value.origin),
        }
    if isinstance(value, Readout):
        return {
            "sites": _plain(value.sites),
            "coef": _plain(value.coef),
            "intercept": _plain(value.intercept),
            "span": str(value.span),
            "origin": _source(value.origin),
        }
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, Tensor):
        value = value.detach().float().cpu().numpy()
    if isinstance(value, np.ndarray):
        data = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()[:12]
        return {"shape": list(value.shape), "fingerprint": data}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    found = described(value)
    return found if is_dataclass(value) else found["intervention"]


def _source(origin: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(origin[name]) for name in _SOURCE if name in origin}
