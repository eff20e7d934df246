"""Training with a penalty on the states of a model and rewards for honesty, on TRL's trainers."""

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
from repalign.training.rewards import DEFAULT_BETA as DEFAULT_BETA
from repalign.training.rewards import Combined as Combined
from repalign.training.rewards import KnowledgeAware as KnowledgeAware
from repalign.training.rewards import LieDetector as LieDetector
from repalign.training.rewards import ProbeReward as ProbeReward
from repalign.training.rewards import RewardModel as RewardModel
from repalign.training.schedules import Constant as Constant
from repalign.training.schedules import Ramp as Ramp
from repalign.training.schedules import Schedule as Schedule
from repalign.training.schedules import Stairs as Stairs
