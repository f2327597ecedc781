"""What keeps a bot from forgetting how to begin: the greatest number of a post's first token.

A Llama makes one number of the token that opens every post, in one of its lower layers, that is
thousands of times as large as others, and takes most of it off again in one of its last (Sun et
al. 2024, "Massive Activations in Large Language Models", arXiv:2402.17762). What it says first is
what is left. Adapters learn, step by step, to make more of that number or less; where they make
too little, what is taken off is more than there is, the sign of what is left turns, and the bot
begins its posts at random from then on. So leaving a band around what the base makes of it costs:
nothing within, and beyond it as the square, `(excess / _WIDTH)^2 / 2` nats a post.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

_LEAST, _MOST = 0.9, 1.5  # times what it was: trainings that do well come as far
_WIDTH = 0.05  # times what it was, that cost half a nat
_MASSIVE = 1_000  # times a usual channel of what makes it; nothing smaller is taken off again


@dataclass(frozen=True, kw_only=True)
class Opening:
    """Where the number is, and what it was."""

    layer: int  # that makes it
    channel: int
    value: float

    def excess(self, x: Tensor) -> Tensor:
        """Return how far beyond the band the number is.

        Args:
            x: what leaves the layer at the first token of each post [posts, width].

        Returns:
            In parts of what it was, below the band negative, fp32 [posts].
        """
        part = x[:, self.channel].float() / self.value
        return (part - _MOST).clamp_min(0) - (_LEAST - part).clamp_min(0)

    def strain(self, excess: Tensor) -> Tensor:
        """Return what that costs, in nats of all posts."""
        return (excess / _WIDTH).square().sum() / 2

    def pull(self, excess: Tensor) -> Tensor:
        """Return the gradient of `strain` at the number [posts]."""
        return excess / (_WIDTH**2 * self.value)


def find_opening(loudest: list[float], made: list[Tensor]) -> Opening | None:
    """Return where a model makes the greatest number of a post's first token; None: nowhere.

    Args:
        loudest: of each layer, the loudest channel from which its output is made, as often the root
            mean square of a usual one.
        made: what leaves each layer at the first token [width].
    """
    below = range(len(loudest) - 1)  # the last layer makes nothing that another takes off
    layer = max(below, key=loudest.__getitem__, default=None)
    if layer is None or loudest[layer] < _MASSIVE:
        return None
    channel = int(made[layer].abs().argmax())
    return Opening(layer=layer, channel=channel, value=float(made[layer][channel]))
