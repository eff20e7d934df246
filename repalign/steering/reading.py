"""Reading the directions that are pushed along."""

from collections.abc import Callable, Mapping, Sequence

from probes import MeanDifference
from repalign.activations import collect
from repalign.directions import Direction
from repalign.examples import Example
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.spans import Span


def read_directions(
    model: LanguageModel,
    examples: Sequence[Example],
    sites: Sequence[Site],
    where: str | Span = "last",
    progress: Callable[[int, int], None] | None = None,
) -> Mapping[Site, Direction]:
    """The difference of the class means at each site: what carries one class over to the other.

    A probe that tells the classes apart better is not a better push: it may lean on features that
    the model does not act on (Geometry of Truth, arXiv 2310.06824, found the mean difference to be
    the most effective of those it tried).

    Args:
        model: the model.
        examples: texts of both labels.
        sites: where.
        where: which tokens are read.
        progress: called with examples done and examples in all.
    """
    read = collect(model, examples, sites, where, progress=progress)
    return {site: Direction.of(MeanDifference(), read, site) for site in sites}
