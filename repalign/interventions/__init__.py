"""What can be written at a site, and intervene(), which writes it."""

from repalign.interventions.ablate import Ablate as Ablate
from repalign.interventions.add import Add as Add
from repalign.interventions.clamp import Clamp as Clamp
from repalign.interventions.conditional import Conditional as Conditional
from repalign.interventions.contrast import Contrast as Contrast
from repalign.interventions.contrast import together as together
from repalign.interventions.contrast import triples as triples
from repalign.interventions.erase import Erase as Erase
from repalign.interventions.everywhere import everywhere as everywhere
from repalign.interventions.intervening import Intervention as Intervention
from repalign.interventions.intervening import intervene as intervene
from repalign.interventions.keep_norm import KeepNorm as KeepNorm
from repalign.interventions.passing import Passing as Passing
from repalign.interventions.patch import Patch as Patch
from repalign.interventions.shift import Shift as Shift
