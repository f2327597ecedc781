"""Several processes that teach one bot, each on a device of its own; accelerate connects them.

    accelerate launch --multi_gpu --module mynah train ferryclerk

Each process learns from its share of a step's posts. Their gradients are summed, so that all of
them hold the same weights after every step, as if one process had read all the posts.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

Value = TypeVar("Value")


class Replicas:
    """The processes of one training, as one of them sees them."""

    def __init__(self, state: Any = None) -> None:
        """Take accelerate's `PartialState`, or None where this process is alone."""
        self._state = state
        self.count = int(state.num_processes) if state else 1
        self.index = int(state.process_index) if state else 0

    @property
    def first(self) -> bool:
        """Tell whether this process is the one that speaks and writes."""
        return self.index == 0

    def share(self, posts: Tensor) -> Tensor:
        """Return every so many-th of the posts' numbers, beginning with this process's own."""
        return posts[self.index :: self.count]

    def agree(self, value: Value) -> Value:
        """Return what the first process has; wait until it is there."""
        if self._state is None:
            return value
        from accelerate.utils import broadcast_object_list

        [agreed] = broadcast_object_list([value], from_process=0)
        return agreed  # type: ignore[no-any-return]

    def add(self, gradient: Tensor, loss: float, stopped: bool) -> tuple[float, bool]:
        """Sum the gradients of all processes, in place, and with them the loss.

        Args:
            gradient: of all that is trained [count].
            loss: of this process's share.
            stopped: this process was asked to stop.

        Returns:
            The loss of all, and whether any of them was asked to stop: then all do, at one step.
        """
        if self._state is None:
            return loss, stopped
        import torch
        from accelerate.utils import reduce

        told = torch.tensor([loss, float(stopped)], device=gradient.device)
        summed = reduce(torch.cat([gradient.float(), told]), reduction="sum")
        gradient.copy_(summed[:-2])
        return float(summed[-2]), bool(summed[-1] > 0)

    def leave(self) -> None:
        """Wait for the others and let go of them."""
        if self._state is not None:
            self._state.wait_for_everyone()
            self._state.destroy_process_group()


ALONE = Replicas()


def one_of_several() -> bool:
    """Tell whether `accelerate launch` or torchrun started others beside this process."""
    return "RANK" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1"


def is_first() -> bool:
    """Tell whether this is the process that speaks and writes."""
    return not one_of_several() or os.environ["RANK"] == "0"


def find_replicas() -> Replicas:
    """Return the processes that learn with this one."""
    if not one_of_several():
        return ALONE
    import torch
    from accelerate import PartialState

    # Left to itself, accelerate takes processes without a GPU each for one that is alone.
    return Replicas(PartialState(cpu=not torch.accelerator.is_available()))
