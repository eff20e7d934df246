"""Rubrics: everything that can be judged, by name."""

from collections.abc import Mapping
from types import MappingProxyType

from repalign.judges.admits import ADMITS
from repalign.judges.correct import CORRECT
from repalign.judges.declines import DECLINES
from repalign.judges.h2 import H2
from repalign.judges.prefers import PREFERS
from repalign.judges.rubric import Rubric
from repalign.judges.states import STATES

RUBRICS: Mapping[str, Rubric] = MappingProxyType(
    {rubric.name: rubric for rubric in (CORRECT, DECLINES, ADMITS, H2, PREFERS, STATES)}
)
