"""What a training computes with, fitted to its posts: the model's body and its head's columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mynah.config import TrainingConfig
from mynah.environment import settle_memory
from mynah.errors import SettingsError
from mynah.fast_llama import Body, FastLlama, body_of, supports, widen
from mynah.loss import IGNORE, Soft, pad, post_nats, training_loss
from mynah.model import Base, Device, int8_is_exact, learning_device, load_base
from mynah.plan import Machine, Plan, rounds
from mynah.shortlist import Columns, Shortlist, choose_shortlist

Rows = Sequence[Sequence[int]]
_PROBES = 512  # tokens of posts that show a body what it will meet
_BUDGET = 512  # padded tokens that go through the model at once while it is asked


@dataclass(frozen=True, kw_only=True)
class Learner:
    """A body to learn with, and the tokens that its head needs for these posts."""

    body: Body
    shortlist: Shortlist | None  # None: all tokens

    def columns(self, seed: int) -> Columns | None:
        """Return what one step's softmax runs over."""
        return self.shortlist.draw(seed) if self.shortlist else None


def load_to_learn(config: TrainingConfig, device: Device | None = None) -> Base:
    """Load the base that the settings name, to learn on.

    What is to be rounded to eight bits is not kept in fp32 beside that: it stays in bf16, as it is
    in nearly every base's file, and so is read from there when it is needed, and from then on not
    at all. All the rest is in the precision that is computed in.

    Args:
        config: the settings; they may ask for a training without eight bits.
        device: None: the best one here.

    Raises:
        BaseError: as `model.load_base` does.
    """
    settle_memory()
    device = device or learning_device()
    if not rounds(config, device.int8) or device.dtype == torch.bfloat16:
        return load_base(config.base, device)
    base = load_base(config.base, replace(device, dtype=torch.bfloat16))
    if supports(base.model):
        widen(base.model, device.dtype)
    else:
        base.model.to(device.dtype)
    return replace(base, device=device)


def machine_of(base: Base) -> Machine:
    """Return what a plan needs to know of where the base is and of how it learns there."""
    ours = supports(base.model)
    return Machine(
        device=base.device.name,
        int8=base.device.int8 and ours,
        routing=ours and base.device.name == "cpu",
        damping=ours,
        teaching=base.model.get_output_embeddings().bias is None,
    )


def refuse_overflow(base: Base, plan: Plan) -> None:
    """Refuse to learn in eight bits where sums of them would be wrong.

    Raises:
        SettingsError: the plan wants eight bits, and this processor cannot add them up.
    """
    if plan.int8 and base.device.name == "cpu" and not int8_is_exact():
        raise SettingsError(
            "This processor has no VNNI: sums of numbers of eight bits overflow there.",
            hint="Train with --no-int8.",
        )


@torch.no_grad()
def fit(base: Base, rows: Rows, plan: Plan) -> Learner:
    """Look at some of the posts with the weights as they are, and make ready to learn from all.

    The same weights and posts give the same learner, so a resumed training has to be fitted before
    its saved weights are put back.
    """
    body = body_of(base.model, int8=plan.int8)
    if plan.rank is None:
        return Learner(body=body, shortlist=None)
    ids, targets = (each.to(base.device.name) for each in pad(_some(rows), base.separator))
    look = body.calibrate if isinstance(body, FastLlama) else body
    hidden = look(ids)[targets != IGNORE]
    head = base.model.get_output_embeddings()
    shortlist = choose_shortlist(head.weight, hidden, rows) if head.bias is None else None
    return Learner(body=body, shortlist=shortlist)


def _some(rows: Rows) -> Rows:
    """Return posts from all over, of about _PROBES tokens."""
    return rows[:: max(1, sum(map(len, rows)) // _PROBES)]


def piece_loss(
    base: Base,
    body: Body,
    ids: Tensor,
    targets: Tensor,
    columns: Columns | None,
    soft: Soft | None = None,
) -> Tensor:
    """Return the sum of cross-entropies of a piece of a batch, wherever the model is."""
    device = base.device.name
    return training_loss(base.model, body, ids.to(device), targets.to(device), columns, soft)


def strain_of(body: Body) -> Tensor | float:
    """Return nats that the last posts cost beside their own: what they begin with is held."""
    strain = body.strain if isinstance(body, FastLlama) else None
    return 0.0 if strain is None else strain


def nats_a_token(base: Base, body: Body, rows: Rows) -> float:
    """Return what posts cost by now, with the body that learns: both are of one kind."""
    learning = base.model.training
    base.model.eval()  # no dropout
    nats = post_nats(base.model, rows, base.separator, _BUDGET, body)
    base.model.train(learning)
    return float(nats.sum()) / sum(len(row) - 1 for row in rows)
