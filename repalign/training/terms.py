"""Terms: the penalties of a trainer one by one, each with the weight that it has at a step."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from repalign.errors import InputError
from repalign.sites import Site
from repalign.training.methods import Layout, Method, Selection, select
from repalign.training.penalties import Penalty, Together, Where

Key = tuple[Where | None, int | None]
"""Span and label: penalties that have them in common read the same positions."""
Gathered = dict[Key, Tensor]
"""States `[kept d_model]` for each key, in float32 or better."""


@dataclass(frozen=True)
class Group:
    """What shares one weight: a penalty of its own, or those of a `Together`."""

    name: str
    weight: float | None
    share: float | None
    """Where the weight is measured: the share of the gradient norm of the trainer's own loss."""


@dataclass(frozen=True)
class Term:
    """A penalty in a loss."""

    penalty: Penalty
    """Its name is that of no other term."""
    group: Group
    relative: float
    """Its factor within the group."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Names of logs that another term has taken for something else, and what they are instead."""
    watches: bool = True
    """Whether it logs what it watches; not where all of that is another term's log already."""

    @property
    def name(self) -> str:
        """What logs call it."""
        return self.penalty.name

    @property
    def key(self) -> Key:
        """Which positions it reads."""
        return self.penalty.span, self.penalty.label


def terms(penalties: Sequence[Penalty | Together]) -> tuple[Term, ...]:
    """The terms that have a weight; of names that occur twice the later ones are numbered."""
    found: Counter[str] = Counter()

    def unique(name: str) -> str:
        found[name] += 1
        return name if found[name] == 1 else f"{name}_{found[name]}"

    made: list[Term] = []
    for one in penalties:
        if isinstance(one, Together):
            group = Group(unique(one.name), one.weight, one.auto_weight)
            parts = [replace(part, name=unique(part.name)) for part in one.parts]
            made += [Term(part, group, part.weight or 0.0) for part in parts]
        else:
            name = unique(one.name)
            group = Group(name, one.weight, one.auto_weight)
            made.append(Term(replace(one, name=name), group, 1.0))
    return _without_clashes([t for t in made if t.relative and (t.group.share or t.group.weight)])


def _without_clashes(made: Sequence[Term]) -> tuple[Term, ...]:
    """Number the projections of another direction or span at a site that has one already."""
    taken: dict[str, list[object]] = defaultdict(list)
    logged: set[object] = set()
    named = []
    for term in made:
        renamed, ours = {}, set()
        for direction in term.penalty.along:
            name, what = f"projection/{direction.site}", (direction.fingerprint, term.key)
            if what not in taken[name]:
                taken[name].append(what)
            # Whether of the reference, too.
            ours |= {(name, what, of) for of in (False, term.penalty.needs_reference)}
            place = taken[name].index(what)
            if place:
                renamed[name] = f"{name}_{place + 1}"
        own = type(term.penalty).watched is not Penalty.watched
        named.append(replace(term, renamed=renamed, watches=own or not ours <= logged))
        logged |= ours
    return tuple(named)


@dataclass(frozen=True)
class Value:
    """What a term came to in a batch."""

    term: Term
    mean: Tensor
    """Over the span, rows that a label leaves out counting as zeros: what the loss takes."""
    kept: int
    """Positions that were read."""
    logged: Mapping[str, tuple[Tensor, int]]
    """Names of logs, each with the sum of its values and their number."""


class Reading:
    """The positions and states that the terms read in one batch."""

    def __init__(
        self, terms: Sequence[Term], method: Method, layout: Layout, labels: Tensor | None
    ) -> None:
        """Choose the positions.

        Raises:
            InputError: a span has no token in the batch, or a batch lacks the labels.
        """
        self.terms = terms
        wanting = [term.name for term in terms if term.penalty.label is not None]
        if wanting and labels is None:
            raise InputError(
                f"{wanting[0]} acts on rows of one label, and this batch has no labels. It did not "
                "come from the trainer's own data; say label_column=… and leave the data to it."
            )
        keys = {term.key for term in terms}
        self._selected: dict[Key, Selection] = {
            key: select(method, layout, *key, labels) for key in keys
        }

    def sites(self, *, of_reference: bool = False) -> list[Site]:
        """The sites of all terms, or of those that need the reference."""
        wanted = [t for t in self.terms if t.penalty.needs_reference or not of_reference]
        return sorted({site for term in wanted for site in term.penalty.sites})

    def gather(self, site: Site, states: Tensor) -> Gathered:
        """Keep the positions that terms read of the states `[row pos d_model]` at a site."""
        gathered = {}
        for term in self.terms:
            if site not in term.penalty.sites or term.key in gathered:
                continue
            selected = self._selected[term.key]
            if tuple(states.shape[:2]) != selected.shape:
                raise InputError(
                    f"{term.name} reads states {list(states.shape[:2])} (rows, positions), but the "
                    f"batch is {list(selected.shape)}. Adapters that put tokens of their own "
                    "before the text, and training that splits a text over devices, cannot be "
                    "penalised."
                )
            kept = states.flatten(0, 1).index_select(0, selected.index.to(states.device))
            # Autocast and half-precision models would round the penalty.
            gathered[term.key] = kept.to(torch.promote_types(kept.dtype, torch.float32))
        return gathered

    def value(
        self,
        term: Term,
        policy: Mapping[Site, Gathered],
        reference: Mapping[Site, Gathered] | None,
        device: torch.device,
    ) -> Value:
        """What a term comes to."""
        penalty, selected = term.penalty, self._selected[term.key]

        def at(gathered: Mapping[Site, Gathered]) -> dict[Site, Tensor]:
            return {site: gathered[site][term.key].to(device) for site in penalty.sites}

        ours = at(policy)
        theirs = at(reference) if reference is not None and penalty.needs_reference else None
        with torch.autocast(device.type, enabled=False):
            values = penalty(ours, theirs, selected.text.to(device))
            with torch.no_grad():
                watched = penalty.watched(ours) if term.watches else {}
                before = penalty.watched(theirs) if term.watches and theirs is not None else {}
        whole = selected.texts if penalty.per_text else selected.positions
        logged = {f"penalty/{term.name}": (values.detach().sum(), values.numel())}
        for tail, found in (("", watched), ("/reference", before)):
            for name, value in found.items():
                logged[f"{term.renamed.get(name, name)}{tail}"] = (value.sum(), value.numel())
        return Value(term, values.sum() / whole, len(selected.index), logged)


def total(values: Sequence[Value], weight: Callable[[Term], float]) -> Tensor:
    """The weighted sum of terms."""
    return torch.stack([weight(value.term) * value.mean for value in values]).sum()
