"""Activations of a model at sites, and collect(), which reads them."""

from repalign.activations.collecting import Progress as Progress
from repalign.activations.collecting import begun_with as begun_with
from repalign.activations.collecting import collect as collect
from repalign.activations.collecting import fill as fill
from repalign.activations.collecting import stream as stream
from repalign.activations.conditions import origin as origin
from repalign.activations.container import Activations as Activations
from repalign.activations.container import mean_by_example as mean_by_example
from repalign.activations.extraction import Extraction as Extraction
from repalign.activations.extraction import readable as readable
from repalign.activations.index import Index as Index
from repalign.activations.status import Status as Status
from repalign.activations.store import Store as Store
from repalign.activations.stored import StoredValues as StoredValues
