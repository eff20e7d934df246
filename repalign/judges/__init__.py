"""Judges: who says what an answer is, and how well that agrees with people."""

from repalign.judges.agreeing import agreement as agreement
from repalign.judges.both_orders import both_orders as both_orders
from repalign.judges.case import Case as Case
from repalign.judges.case import Ruling as Ruling
from repalign.judges.cost import calls as calls
from repalign.judges.judge import ByModel as ByModel
from repalign.judges.judge import Judge as Judge
from repalign.judges.judge import Words as Words
from repalign.judges.rubric import Rubric as Rubric
from repalign.judges.rubrics import RUBRICS as RUBRICS
