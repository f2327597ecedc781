"""When to stop learning, and which weights to keep: by what posts never learned from cost.

A second look at the posts teaches some accounts a lot, and others little but their own posts by
heart. Nobody can tell beforehand which, so some posts of the training side are set aside and asked
at the end of the first half, after three quarters and at the end: a training ends as soon as they
cost no less than before, and the weights that they cost least with are kept (Prechelt 1998, "Early
Stopping - But When?", doi:10.1007/3-540-49430-8_3). They are not the held-out posts, which judge
the bot and have no part in making it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mynah.fast_llama import Body
from mynah.learner import Rows
from mynah.loss import post_nats
from mynah.model import Base
from mynah.replicas import ALONE, Replicas

if TYPE_CHECKING:
    from torch import Tensor, nn

LOOKS = (0.5, 0.75, 1.0)  # parts of the steps after which is asked
_BUDGET = 512  # padded tokens that go through the model at once


@dataclass(kw_only=True)
class Best:
    """The weights that the posts set aside cost least with, so far."""

    nats: float | None = None  # a token
    step: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)


class EarlyStopping:
    """Asks the posts set aside; without any, never stops."""

    def __init__(
        self, base: Base, body: Body, rows: Rows, steps: int, replicas: Replicas = ALONE
    ) -> None:
        """Take the posts set aside, what computes their cost, and how many steps there will be."""
        self._base, self._body, self._rows, self._replicas = base, body, rows, replicas
        self._places = {max(1, round(part * steps)) for part in LOOKS} if rows else set()
        self.best = Best()

    def over(self, step: int, parameters: Mapping[str, nn.Parameter]) -> bool:
        """Tell whether to stop after a step; else, if it is one of those to ask after, remember."""
        if step not in self._places:
            return False
        nats = self._replicas.agree(self._ask())
        if self.best.nats is not None and nats >= self.best.nats:
            return True
        kept = {name: each.detach().clone() for name, each in parameters.items()}
        self.best = Best(nats=nats, step=step, weights=kept)
        return False

    def keep_best(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """Go back to the weights that were cheapest."""
        for name, weight in self.best.weights.items():
            parameters[name].data.copy_(weight)

    def _ask(self) -> float:
        """Return the loss of the posts set aside in nats a token."""
        model = self._base.model
        learning = model.training
        model.eval()  # no dropout
        nats = post_nats(model, self._rows, self._base.separator, _BUDGET, self._body)
        model.train(learning)
        return float(nats.sum()) / sum(len(row) - 1 for row in self._rows)
