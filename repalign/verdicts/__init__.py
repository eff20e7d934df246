"""Verdicts: whether an answer is right, wrong or declines, judged by its words alone."""

from repalign.verdicts.declining import CUES as CUES
from repalign.verdicts.declining import cue as cue
from repalign.verdicts.declining import declines as declines
from repalign.verdicts.matching import choice as choice
from repalign.verdicts.matching import contains as contains
from repalign.verdicts.normalising import normal as normal
from repalign.verdicts.normalising import without_thought as without_thought
from repalign.verdicts.verdict import Verdict as Verdict
from repalign.verdicts.verdict import verdict as verdict
