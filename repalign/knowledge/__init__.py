"""Knowledge: what a model knows, by how often its sampled answers are right."""

from repalign.knowledge.asked import Asked as Asked
from repalign.knowledge.asked import asked as asked
from repalign.knowledge.boundary import Boundary as Boundary
from repalign.knowledge.boundary import estimate as estimate
from repalign.knowledge.known import Known as Known
