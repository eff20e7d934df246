"""steering-vectors: a `SteeringVector` patched into the layer."""

from generating import measure
from steering_vectors import SteeringVector  # pyright: ignore[reportMissingImports]


def steer(model, layer, vector):
    found = SteeringVector(layer_activations={layer: vector}, layer_type="decoder_block")
    return found.apply(model)


if __name__ == "__main__":
    measure(steer, "steering-vectors", "transformers", "torch")
