"""What `reproduce` compares: every model, SEMINAR's ablations, and the controls that keep the comparison honest.

Training. A variant is a model name, what it is restored from, and the settings that differ from the one recipe that all
share. Every variant gets the same number of supervised steps; those that pretrain get their pretraining beside it, and
"seminar, scratch, twice the steps" shows what the time of pretraining would have bought as more supervision.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import ConfigError, UnknownNameError
from ..training.recipe import BudgetConfig, FinetuneConfig, PretrainConfig
from ..training.settings import with_values

SHORT = 8  # the short budget is one eighth of the steps
RIVALS = ("din", "avgpool", "sim-hard", "sim-soft", "eta", "sdim", "twin", "qin", "muse")


@dataclass(frozen=True)
class Variant:
    """One row of the table.

    Fields:
        name: of the row.
        model: model name.
        psu: settings of the PSU it is restored from; None = from scratch.
        settings: settings of both trainings that differ from the shared recipe.
        finetune: settings of the supervised training alone.
        steps: multiple of the budget's supervised steps.
    """

    name: str
    model: str
    psu: dict[str, Any] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    finetune: dict[str, Any] = field(default_factory=dict)
    steps: float = 1.0

    @property
    def is_baseline(self) -> bool:
        """Whether it is a rival rather than SEMINAR or a part of it."""
        return self.model in RIVALS


VARIANTS = (
    Variant("seminar", "seminar", psu={}),
    Variant("seminar-pq", "seminar-pq", psu={}),
    *(Variant(name, name) for name in RIVALS),
    Variant("seminar, from scratch", "seminar"),
    Variant("seminar, frozen", "seminar", psu={}, finetune={"freeze_embeddings": True, "freeze_projections": True}),
    Variant("seminar, scratch, twice the steps", "seminar", steps=2.0),
    Variant("seminar, no neighbour", "seminar", psu={"neighbour": 0.0, "next_pair": 1.0}),
    Variant("seminar, neighbour and next pair", "seminar", psu={"next_pair": 1.0}),
    Variant("seminar, no hidden ids", "seminar", psu={"hide_ids": 0.0}),
    Variant("seminar, no alignment", "seminar", psu={"alignment": 0.0}),
    Variant("seminar, no relevance", "seminar", psu={"relevance": 0.0}),
    Variant("seminar, no short-term branch", "seminar", psu={}, settings={"short_window": 0}),
    Variant("seminar, no mass", "seminar", psu={}, settings={"mass": False}),
    Variant("seminar, no likeness", "seminar", psu={}, settings={"likeness": False}),
    Variant("seminar, no queries", "seminar", psu={"relevance": 0.0}, settings={"disabled": "Q"}),
    Variant("seminar, no attributes", "seminar", psu={}, settings={"disabled": "A"}),
    Variant("seminar, no text", "seminar", psu={}, settings={"disabled": "T"}),
    Variant("seminar, no image", "seminar", psu={}, settings={"disabled": "I"}),
    Variant("seminar, short budget", "seminar", psu={}, steps=1 / SHORT),
    Variant("seminar, from scratch, short budget", "seminar", steps=1 / SHORT),
)
FEW_BYTES = {"spec": "QC64,RQ4x8"}
SLOW_VALUES = {"value_learning_rate": 1e-4}
EXTRA = (
    Variant("seminar-pq, 4 bytes", "seminar-pq", psu={}, finetune=FEW_BYTES),
    Variant("seminar-pq, 4 bytes, end to end", "seminar-pq", psu={}, finetune={**FEW_BYTES, "codebooks": "end-to-end"}),
    Variant("seminar, slow values", "seminar", psu={}, settings=SLOW_VALUES),
    Variant("seminar, from scratch, slow values", "seminar", settings=SLOW_VALUES),
)
"""Rows that are measured when they are named: codes so short that something is lost, trained in both ways; and W^V and
W^O that learn slower than the rest, in pretraining and after."""
PAIRS = (
    ("seminar", "seminar, from scratch"),
    ("seminar, short budget", "seminar, from scratch, short budget"),
    ("seminar", "seminar, scratch, twice the steps"),
    ("seminar-pq, 4 bytes, end to end", "seminar-pq, 4 bytes"),
    ("seminar, slow values", "seminar, from scratch, slow values"),
)
PARTS = tuple(variant.name for variant in VARIANTS if variant.name.startswith("seminar, no "))
"""Rows that are SEMINAR with one part taken away."""

BUDGETS = {
    "small": {"pretrain": {"steps": 400, "seconds": 200.0}, "finetune": {"steps": 250, "seconds": 300.0}},
    "medium": {"pretrain": {"steps": 800, "seconds": 400.0}, "finetune": {"steps": 1000, "seconds": 1200.0}},
    "full": {"pretrain": {"steps": 1500, "seconds": 1000.0}, "finetune": {"steps": 2500, "seconds": 3000.0}},
}
"""Steps of a model and seed; the seconds only guard against a machine that is far slower than one core of today."""


def chosen_variants(names: str | None) -> tuple[Variant, ...]:
    """All variants, or those of a list separated by ";".

    Raises:
        UnknownNameError: one of the names is not a variant.
        ConfigError: a name stands there twice.
    """
    if not names:
        return VARIANTS
    by_name = {variant.name: variant for variant in (*VARIANTS, *EXTRA)}
    wanted = [name.strip() for name in names.split(";")]
    for name in wanted:
        if name not in by_name:
            raise UnknownNameError("variant", name, by_name)
        if wanted.count(name) > 1:
            raise ConfigError(
                f"variant {name!r} is named {wanted.count(name)} times, its measurements would count as often",
                hint="name it once",
            )
    return tuple(by_name[name] for name in wanted)


def limits_of(budget: str, asked: BudgetConfig) -> dict[str, dict[str, float]]:
    """Steps and seconds of both trainings; those that were asked for (other than the defaults) lower a budget's."""
    usual = BudgetConfig()
    lower = {name: getattr(asked, name) for name in ("steps", "seconds")}
    lower = {name: value for name, value in lower.items() if value != getattr(usual, name)}
    return {
        phase: {name: min(most, lower.get(name, most)) for name, most in limits.items()}
        for phase, limits in BUDGETS[budget].items()
    }


def pretrain_config(
    base: PretrainConfig, variant: Variant, budget: str, seed: int, asked: BudgetConfig | None = None
) -> PretrainConfig:
    """Settings of the PSU that `variant` is restored from; `asked` is the budget of the finetune settings."""
    config = with_values(base, {**(variant.psu or {}), **variant.settings, "seed": seed})
    limits = limits_of(budget, asked or BudgetConfig())
    return replace(config, budget=limited(config.budget, limits["pretrain"], 1.0))


def finetune_config(base: FinetuneConfig, variant: Variant, budget: str, seed: int) -> FinetuneConfig:
    """Settings of the supervised training of `variant`."""
    config = with_values(base, {**variant.settings, **variant.finetune, "seed": seed})
    limits = limits_of(budget, base.budget)
    return replace(config, budget=limited(config.budget, limits["finetune"], variant.steps))


def limited(budget: BudgetConfig, limits: dict[str, float], share: float) -> BudgetConfig:
    """`budget` with the steps and seconds of `limits`, both times `share`; validation keeps its place in the run.

    No frames of a film are kept: nobody watches one of a comparison.
    """
    steps = max(1, round(int(limits["steps"]) * share))
    return replace(
        budget,
        steps=steps,
        seconds=limits["seconds"] * max(share, 1 / SHORT),
        evaluate_every=max(1, min(budget.evaluate_every, steps)),
        frames=0,
    )
