"""Writes: an intervention from a file, as `-M intervention=` names it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repalign.directions import Direction
from repalign.errors import InputError
from repalign.exports import read_gguf, read_vllm_lens
from repalign.exports.writers import trial
from repalign.interventions import Add, Intervention, Shift, intervene
from repalign.interventions.describing import described
from repalign.models import LanguageModel
from repalign.sites import Site


@dataclass(frozen=True)
class Writes:
    """What is written to a model at each of its passes, and what logs say of it."""

    shifts: Mapping[Site, Shift]
    record: tuple[Mapping[str, Any], ...]

    @classmethod
    def read(cls, path: Path | str, model: LanguageModel, coefficient: float | None) -> "Writes":
        """Read an intervention, and make a pass with it to find out whether it fits the model.

        Args:
            path: a `.json` that `export(…, "vllm-lens")` wrote, a `.gguf` control vector, or the
                folder of a direction, as `repalign steer` leaves one.
            model: to be written to.
            coefficient: of a direction, in units of its scale; of vectors a factor, 1 without it.

        Raises:
            InputError: nothing that can be read, a direction without a coefficient, or one of
                another model.
        """
        path = Path(path).expanduser()
        found: Mapping[Site, Intervention]
        if (path / "direction.json").is_file() or path.name == "direction.json":
            if coefficient is None:
                raise InputError(
                    f"{path} holds a direction; say how far to push along it with "
                    "-M coefficient=…, in units of the distance between the classes."
                )
            direction = Direction.load(path)
            found = {direction.site: Add(direction, coefficient)}
        elif path.suffix in (".json", ".gguf") and path.is_file():
            vectors = (read_vllm_lens if path.suffix == ".json" else read_gguf)(path, model)
            factor = 1.0 if coefficient is None else coefficient
            found = {
                site: Shift(one.vector, factor * one.coefficient) for site, one in vectors.items()
            }
        else:
            raise InputError(
                f"{path} is no intervention that can be read: give a .json of vllm-lens, a .gguf "
                "control vector, or the folder of a direction. Exported weights and adapters are "
                "models: --model repalign/PATH."
            )
        with intervene(model, found):
            model.logits(trial(model))
        # Checked against the weights once; a Shift adds the same numbers and names no weights,
        # which would be hashed again for every batch.
        shifts = {site: Shift(one.push) for site, one in found.items()}  # pyright: ignore[reportAttributeAccessIssue]
        record = tuple({"site": str(site), **described(one)} for site, one in found.items())
        return cls(shifts, record)
