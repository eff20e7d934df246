"""LanguageModel: load, read, write and generate."""

from repalign.models.hooking import SiteFunction as SiteFunction
from repalign.models.hooking import StopForward as StopForward
from repalign.models.language_model import LanguageModel as LanguageModel
from repalign.models.team import Team as Team
