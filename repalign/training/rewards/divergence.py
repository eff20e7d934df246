"""Divergence: how strongly a policy that trains against a probe is held to its beginning."""

import warnings
from typing import Any

DEFAULT_BETA = 0.1
"""The weight of the KL divergence from the model before training, where a probe is in the loop:
that of SOLiD (arXiv 2505.13787). TRL's own default is 0 for GRPO and 0.05 for RLOO."""


def warn_without(args: Any, probes: list[str]) -> None:
    """Warn where nothing holds the policy while probes are in the loop.

    Args:
        args: of the trainer.
        probes: names of the penalties and rewards that read a direction or a probe.
    """
    if not probes or args.beta != 0:
        return
    warnings.warn(
        f"{type(args).__name__} has beta=0 while {', '.join(probes)} trains against a probe. "
        "Nothing then keeps the policy near the model that the probe was fitted on, and it learns "
        "to lie unseen: with beta below 0.05 and a detector that catches about 70 % of lies, about "
        "90 % of answers became undetected lies in SOLiD (arXiv 2505.13787). Set "
        f"beta={DEFAULT_BETA}, and audit the model after training.",
        UserWarning,
        stacklevel=3,
    )
