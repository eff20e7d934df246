"""Probing on stored activations: the same figures as in memory, one site at a time."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from synthetic import WIDTH, activations, source

from repalign.activations import Activations, Store
from repalign.probing import Source, sweep
from repalign.probing.results import results


def test_a_sweep_on_disk_is_the_sweep_in_memory(tmp_path: Path) -> None:
    parts = [
        activations(topic, groups=24, shifts=(0.0, 2.5, 1.0), seed=i, first_example=1000 * i)
        for i, topic in enumerate(("a", "b", "c"))
    ]
    whole = Activations.join(parts)
    rows = np.array_split(np.random.default_rng(1).permutation(len(whole)), 5)
    store = Store.create(
        tmp_path / "s", {}, whole.sites, WIDTH, "float32", whole, rows, origin=whole.origin
    )
    for shard in store.missing():
        with store.claim(shard):
            values = {site: torch.from_numpy(whole.at(site)[rows[shard]]) for site in whole.sites}
            store.write(shard, values)
    stored = store.activations()

    def sources(of: Activations) -> Mapping[str, Source]:
        return {
            topic: Source(source(part).examples, of.rows(np.flatnonzero(of.topics == topic)))
            for topic, part in zip(("a", "b", "c"), parts, strict=True)
        }

    def benign(of: Activations) -> Activations:
        return replace(of.rows(of.labels == 1), labels=np.full(len(of) // 2, -1))

    probes = ("mean_difference", "logistic")
    found = [sweep(sources(of), probes, benign=benign(of)) for of in (whole, stored)]
    assert results(found[0]) == results(found[1])
    assert np.array_equal(found[0].readout.coef, found[1].readout.coef)
    assert np.array_equal(found[0].direction.vector, found[1].direction.vector)
