"""Steering: how far to push, where, and what comes of it."""

from repalign.steering.calibrate import Calibration as Calibration
from repalign.steering.calibrate import Push as Push
from repalign.steering.calibrate import calibrate as calibrate
from repalign.steering.controls import random_like as random_like
from repalign.steering.controls import without as without
from repalign.steering.heads import Head as Head
from repalign.steering.heads import heads_push as heads_push
from repalign.steering.heads import select_heads as select_heads
from repalign.steering.measuring import Bench as Bench
from repalign.steering.measuring import Point as Point
from repalign.steering.measuring import measure as measure
from repalign.steering.reading import read_directions as read_directions
from repalign.steering.strength import norm_ratio as norm_ratio
from repalign.steering.sweep import Swept as Swept
from repalign.steering.sweep import results as results
from repalign.steering.sweep import sweep as sweep
from repalign.steering.tradeoff import Fit as Fit
from repalign.steering.tradeoff import behaviour as behaviour
from repalign.steering.tradeoff import fit_behaviour as fit_behaviour
from repalign.steering.tradeoff import fit_helpfulness as fit_helpfulness
from repalign.steering.tradeoff import helpfulness as helpfulness
from repalign.steering.tradeoff import useful_range as useful_range
