"""Pure functions of arrays; each returns an Estimate."""

from repalign.metrics.estimate import Estimate as Estimate
from repalign.metrics.estimate import mean as mean
from repalign.metrics.ranking import Threshold as Threshold
from repalign.metrics.ranking import auroc as auroc
from repalign.metrics.ranking import recall_at_fpr as recall_at_fpr
from repalign.metrics.ranking import threshold_at as threshold_at
