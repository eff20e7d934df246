"""The direction along which the toy is steered."""

import numpy as np
import toy as toys

from repalign.directions import Direction
from repalign.models import LanguageModel
from repalign.sites import Site


def honesty(model: LanguageModel, layer: int) -> Direction:
    """The planted direction, with a scale of a tenth of a marker's."""
    vector = toys.direction().numpy().astype(np.float32)
    return Direction(vector, Site(layer), 0.0, 0.4, {"weights": model.fingerprint})
