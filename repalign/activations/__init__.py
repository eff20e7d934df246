"""Activations of a model at sites, and collect(), which reads them."""

from repalign.activations.collecting import MAX_TOKENS as MAX_TOKENS
from repalign.activations.collecting import Progress as Progress
from repalign.activations.collecting import batches as batches
from repalign.activations.collecting import collect as collect
from repalign.activations.collecting import origin as origin
from repalign.activations.collecting import readable as readable
from repalign.activations.container import Activations as Activations
from repalign.activations.container import mean_by_example as mean_by_example
