"""Probes: scikit-learn estimators that find a direction of honesty in arrays of activations.

Arrays in, scores out. Nothing here knows of models; numpy, scipy and scikit-learn are all it
needs. The contract that the classifiers share is the docstring of `LinearProbe`.
"""

from __future__ import annotations

from .ccs import CCS
from .contrast_pca import ContrastPCA
from .lda import LDA
from .leace import LEACE
from .linear_probe import LinearProbe, LinearScore, Problem
from .logistic_regression import LogisticRegression
from .mean_difference import MeanDifference
from .polarity_ccs import PolarityCCS
from .random_direction import RandomDirection
from .together import fit_together
from .ttpd import TTPD

REGISTRY: dict[str, type[LinearProbe]] = {
    "mean_difference": MeanDifference,
    "lda": LDA,
    "logistic": LogisticRegression,
    "contrast_pca": ContrastPCA,
    "ccs": CCS,
    "polarity_ccs": PolarityCCS,
    "ttpd": TTPD,
    "random_direction": RandomDirection,
}
"""Short name of every classifier, for command lines and records. `LEACE` is a transformer."""

__all__ = [
    "CCS",
    "LDA",
    "LEACE",
    "REGISTRY",
    "TTPD",
    "ContrastPCA",
    "LinearProbe",
    "LinearScore",
    "LogisticRegression",
    "MeanDifference",
    "PolarityCCS",
    "Problem",
    "RandomDirection",
    "fit_together",
]
