"""repeng: a `ControlModel` that wraps the layer."""

from contextlib import contextmanager

import numpy as np
from generating import measure
from repeng import ControlModel, ControlVector  # pyright: ignore[reportMissingImports]


@contextmanager
def steer(model, layer, vector):
    controlled = ControlModel(model, [layer])
    found = ControlVector(model_type="llama", directions={layer: vector.numpy().astype(np.float32)})
    controlled.set_control(found, 1.0)
    try:
        yield
    finally:
        controlled.unwrap()


if __name__ == "__main__":
    measure(steer, "repeng", "transformers", "torch")
