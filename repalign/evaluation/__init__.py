"""Evaluation: suites of honesty, each item kept, each figure with its interval."""

from repalign.evaluation.outcome import Item as Item
from repalign.evaluation.outcome import Outcome as Outcome
from repalign.evaluation.setting import Setting as Setting
from repalign.evaluation.suites import SUITES as SUITES
from repalign.evaluation.suites import Suite as Suite
from repalign.evaluation.suites import named as named
