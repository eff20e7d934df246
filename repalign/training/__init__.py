"""Training with a penalty on the states of a model, on top of the trainers of TRL."""

from repalign.training.penalised import penalised as penalised
from repalign.training.penalties import Movement as Movement
from repalign.training.penalties import Penalty as Penalty
from repalign.training.penalties import ProbeScore as ProbeScore
from repalign.training.penalties import Projection as Projection
from repalign.training.penalties import Reroute as Reroute
from repalign.training.penalties import Retain as Retain
from repalign.training.penalties import Target as Target
from repalign.training.penalties import Together as Together
from repalign.training.penalties import circuit_breaker as circuit_breaker
from repalign.training.penalties import delta as delta
from repalign.training.penalties import lorra as lorra
from repalign.training.schedules import Constant as Constant
from repalign.training.schedules import Ramp as Ramp
from repalign.training.schedules import Schedule as Schedule
from repalign.training.schedules import Stairs as Stairs
