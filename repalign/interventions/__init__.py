"""What can be written at a site, and intervene(), which writes it."""

from repalign.interventions.ablate import Ablate as Ablate
from repalign.interventions.add import Add as Add
from repalign.interventions.intervening import Intervention as Intervention
from repalign.interventions.intervening import intervene as intervene
