"""repeng: a `ControlModel` that wraps the layer."""

import numpy as np
from generating import measure
from repeng import ControlModel, ControlVector  # pyright: ignore[reportMissingImports]


def steer(model, layer, vector):
    controlled = ControlModel(model, [layer])
    found = ControlVector(model_type="llama", directions={layer: vector.numpy().astype(np.float32)})
    return lambda: controlled.set_control(found, 1.0), controlled.reset


if __name__ == "__main__":
    measure(steer, "repeng", "transformers", "torch")
