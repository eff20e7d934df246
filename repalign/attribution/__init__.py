"""Attribution: which weights matter for a response, and whether two kinds want the same.

Importance on response loss (SNIP, Wanda), what one set has to itself, the model without it, and the
conflict between honesty, harmlessness and helpfulness in every matrix.
"""

from repalign.attribution.calibrating import REFUSALS as REFUSALS
from repalign.attribution.calibrating import calibration as calibration
from repalign.attribution.comparing import conflict as conflict
from repalign.attribution.comparison import Conflict as Conflict
from repalign.attribution.comparison import Measured as Measured
from repalign.attribution.finding import Matrix as Matrix
from repalign.attribution.finding import matrices as matrices
from repalign.attribution.measuring import Effect as Effect
from repalign.attribution.measuring import effects as effects
from repalign.attribution.measuring import response_loss as response_loss
from repalign.attribution.removing import Removal as Removal
from repalign.attribution.removing import low_rank as low_rank
from repalign.attribution.removing import projected_out as projected_out
from repalign.attribution.removing import random_removals as random_removals
from repalign.attribution.removing import zeroed as zeroed
from repalign.attribution.scoring import snip as snip
from repalign.attribution.scoring import wanda as wanda
from repalign.attribution.weight_sets import exclusive as exclusive
from repalign.attribution.weight_sets import random_like as random_like
from repalign.attribution.weight_sets import selected as selected
from repalign.attribution.weight_sets import top as top
