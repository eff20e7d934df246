"""Team: the processes that hold one model together."""

from dataclasses import dataclass

import torch.distributed

from repalign.models.language_model import LanguageModel


@dataclass(frozen=True)
class Team:
    """Processes that each hold a part of a model, and so have to run the same passes.

    A process that holds all of its model is a team by itself.
    """

    together: bool
    """Whether there are others in it."""
    leads: bool
    """Whether this process decides what is run."""

    @classmethod
    def of(cls, model: LanguageModel) -> "Team":
        """The team of a model: several processes where it was loaded with `tensor_parallel`."""
        size = getattr(model.network, "tp_size", None) or 1
        if size < 2:
            return cls(together=False, leads=True)
        return cls(together=True, leads=torch.distributed.get_rank() == 0)

    def agree(self, choice: int | None) -> int | None:
        """The leader's choice, in every process of the team; the others wait for it."""
        if not self.together:
            return choice
        box = [choice]
        torch.distributed.broadcast_object_list(box, src=0)
        return box[0]
