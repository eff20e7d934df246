"""Behaviour: what a model answers, and how that changes when something is written to it."""

from repalign.behavior.answers import Answers as Answers
from repalign.behavior.asking import ask as ask
from repalign.behavior.choices import Choices as Choices
from repalign.behavior.choosing import choose as choose
from repalign.behavior.comparing import compare as compare
from repalign.behavior.damage import Damage as Damage
from repalign.behavior.questions import Question as Question
from repalign.behavior.questions import questions as questions
from repalign.behavior.questions import true_or_false as true_or_false
from repalign.behavior.rating import Ratings as Ratings
from repalign.behavior.rating import rate as rate
from repalign.behavior.rating import refuses as refuses
from repalign.behavior.reference import Reference as Reference
from repalign.behavior.reference import perplexity as perplexity
