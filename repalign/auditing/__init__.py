"""Auditing: whether training moved the model, or only fooled the probe."""

from repalign.auditing.auditing import Audit as Audit
from repalign.auditing.auditing import audit as audit
from repalign.auditing.building import families as families
from repalign.auditing.controls import control_directions as control_directions
from repalign.auditing.family import Family as Family
from repalign.auditing.family import check_disjoint as check_disjoint
from repalign.auditing.ladder import Evidence as Evidence
from repalign.auditing.ladder import Verdict as Verdict
from repalign.auditing.ladder import claim as claim
from repalign.auditing.measure import Measure as Measure
from repalign.auditing.reading import Reading as Reading
from repalign.auditing.reading import read_family as read_family
from repalign.auditing.summary import Summary as Summary
