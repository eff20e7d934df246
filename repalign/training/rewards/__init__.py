"""Rewards for TRL's GRPO and RLOO: for knowing and saying so, and by what a probe reads."""

from repalign.training.rewards.combined import Combined as Combined
from repalign.training.rewards.deception import Judge as Judge
from repalign.training.rewards.deception import says_what_is_false as says_what_is_false
from repalign.training.rewards.divergence import DEFAULT_BETA as DEFAULT_BETA
from repalign.training.rewards.knowledge import KnowledgeAware as KnowledgeAware
from repalign.training.rewards.lie_detector import LieDetector as LieDetector
from repalign.training.rewards.probe_reward import ProbeReward as ProbeReward
from repalign.training.rewards.reward_model import RewardModel as RewardModel
