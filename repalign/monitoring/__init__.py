"""Monitoring: the score of every token while a model writes, and of finished answers."""

from repalign.monitoring.aggregating import Aggregate as Aggregate
from repalign.monitoring.calibrating import Calibration as Calibration
from repalign.monitoring.monitor import Monitor as Monitor
from repalign.monitoring.prompts import Prompt as Prompt
from repalign.monitoring.verdict import CLASSES as CLASSES
from repalign.monitoring.verdict import by_class as by_class
from repalign.monitoring.verdict import stated as stated
from repalign.monitoring.verdict import verdict as verdict
from repalign.monitoring.watched import TokenScore as TokenScore
from repalign.monitoring.watched import Watched as Watched
