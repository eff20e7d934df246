"""Compare settings of the pooled readout on topics left out; see README.md."""

import json
from itertools import product
from pathlib import Path

from repalign import LanguageModel, probing
from repalign.datasets.builtin import BUILTIN_TOPICS
from repalign.probing.sweep import by_topic
from repalign.probing.transfer import judge
from repalign.runs import Environment
from repalign.spans import Span

GROUPS = 150
SHRINKAGES = (0.1, 0.3, 1.0, 3.0)
SHARES = (3, 5, 9, 30)


def main() -> None:
    """Read once, fit every setting, write results.json."""
    model = LanguageModel.load("smollm2")
    names = [name for topic in BUILTIN_TOPICS for name in (topic, f"{topic}_negated")]
    parts = by_topic(probing.gather(model, names, model.sites(), max_groups=GROUPS))
    rows = []
    for shrinkage, share in product(SHRINKAGES, SHARES):
        pooled = probing.fit_pooled(parts, Span(), {}, shrinkage=shrinkage, share_of_sites=share)
        found = judge(pooled, parts, seed=0)
        rows.append(
            {
                "shrinkage": shrinkage,
                "one_site_in": share,
                "sites": [str(site) for site in pooled.readout.sites],
                "mean": found.mean.to_json(),
                "best_single": {"topic": found.best_single, **found.best_single_mean.to_json()},
                "difference": found.difference.to_json(),
                "left_out": {t: part.auroc.to_json() for t, part in found.left_out.items()},
            }
        )
        print(f"{shrinkage:>4} 1/{share:<3} mean {found.mean}  more {found.difference}")
    outcome = {
        "model": model.name,
        "weights": model.fingerprint,
        "groups": GROUPS,
        "environment": Environment.here().model_dump(),
        "settings": rows,
    }
    path = Path(__file__).with_name("results.json")
    path.write_text(json.dumps(outcome, indent=1) + "\n")


if __name__ == "__main__":
    main()
