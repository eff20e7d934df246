"""Penalties on the states of a model, one a module."""

from repalign.training.penalties.movement import Movement as Movement
from repalign.training.penalties.penalty import Penalty as Penalty
from repalign.training.penalties.penalty import States as States
from repalign.training.penalties.penalty import Where as Where
from repalign.training.penalties.presets import circuit_breaker as circuit_breaker
from repalign.training.penalties.presets import delta as delta
from repalign.training.penalties.presets import lorra as lorra
from repalign.training.penalties.probe_score import ProbeScore as ProbeScore
from repalign.training.penalties.projection import Projection as Projection
from repalign.training.penalties.reroute import Reroute as Reroute
from repalign.training.penalties.retain import Retain as Retain
from repalign.training.penalties.target import Target as Target
from repalign.training.penalties.together import Together as Together
