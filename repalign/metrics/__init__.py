"""Pure functions of arrays; each returns an Estimate."""

from repalign.metrics.estimate import Estimate as Estimate
from repalign.metrics.estimate import cluster_codes as cluster_codes
from repalign.metrics.estimate import mean as mean
from repalign.metrics.ranking import auroc as auroc
from repalign.metrics.ranking import auroc_statistic as auroc_statistic
from repalign.metrics.thresholds import HeldOut as HeldOut
from repalign.metrics.thresholds import Threshold as Threshold
from repalign.metrics.thresholds import held_out_recall as held_out_recall
from repalign.metrics.thresholds import recall_at_fpr as recall_at_fpr
from repalign.metrics.thresholds import threshold_at as threshold_at
