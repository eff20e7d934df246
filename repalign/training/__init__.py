"""Training with a penalty on the states of a model, on top of the trainers of TRL."""

from repalign.training.penalised import Penalty as Penalty
from repalign.training.penalised import penalised as penalised
from repalign.training.projection import Projection as Projection
