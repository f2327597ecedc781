"""What a plan is told of its base, and what follows from it."""

from __future__ import annotations

from mynah.config import TrainingConfig
from mynah.learner import machine_of
from mynah.model import Base
from mynah.plan import make_plan

FITS = 30_000  # tokens of an archive that is read in small steps


def test_what_a_base_allows_decides_how_boldly_and_by_how_many_it_is_learned(
    base: Base, gpt2_base: Base
) -> None:
    llama, gpt2 = (
        make_plan(TrainingConfig(), tokens=FITS, machine=machine_of(each))
        for each in (base, gpt2_base)
    )
    assert (llama.members, llama.alpha) == (2, 2.0 * 8)  # in the mean; alone each counts twice that
    assert (gpt2.members, gpt2.alpha) == (1, 2.0 * 8)  # nothing damps what its adapters hear
    quick = make_plan(TrainingConfig(effort="quick"), tokens=FITS, machine=machine_of(base))
    assert (quick.members, quick.alpha) == (1, 4.0 * 8)
