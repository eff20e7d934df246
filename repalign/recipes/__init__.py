"""Recipes: a training from its data to its audit, as a plan says it."""

from repalign.recipes.plan import Plan as Plan
from repalign.recipes.plan import Stage as Stage
from repalign.recipes.plan import read as read
