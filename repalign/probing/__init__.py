"""Probing: from data sets and a model to a direction, with controls against flattery."""

from repalign.probing.cross_validation import Choice as Choice
from repalign.probing.cross_validation import Nested as Nested
from repalign.probing.cross_validation import nested as nested
from repalign.probing.folds import grouped_folds as grouped_folds
from repalign.probing.pooling import fit_pooled as fit_pooled
from repalign.probing.sources import MAX_GROUPS as MAX_GROUPS
from repalign.probing.sources import Source as Source
from repalign.probing.sources import gather as gather
from repalign.probing.sweep import DEFAULT_PROBES as DEFAULT_PROBES
from repalign.probing.sweep import Sweep as Sweep
from repalign.probing.sweep import sweep as sweep
