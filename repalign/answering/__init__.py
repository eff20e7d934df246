"""Answering: prompts put to a model and what came back, wherever the model runs."""

from repalign.answering.asking import answers as answers
from repalign.answering.endpoint import Endpoint as Endpoint
from repalign.answering.local import Local as Local
from repalign.answering.reply import Reply as Reply
from repalign.answering.reply import Settings as Settings
from repalign.answering.respondent import Replied as Replied
from repalign.answering.respondent import Respondent as Respondent
