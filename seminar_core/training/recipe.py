"""The settings of a training run: small frozen dataclasses, one per component, checked when built.

Training, before the loop. A command's configuration is one `PretrainConfig` or `FinetuneConfig`; every leaf has a name
of its own, so that `--set negatives=50` needs no path (`--set batches.negatives=50` works too); `settings` reads and
writes them. Every model is trained with the same recipe; the numbers were tuned on the sample and docs/log.md says how.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ..contracts import CHANNELS
from ..errors import ConfigError
from ..retrieval.spec import DEFAULT as DEFAULT_SPEC

PRECISIONS = ("auto", "float32", "bfloat16")
LOSSES = ("softmax", "bce")
SPLITS = ("position", "time")
CODEBOOKS = ("two-step", "end-to-end")
TASKS = ("next", "next,label")


def require(holds: bool, name: str, value: Any, rule: str) -> None:
    """Raise `ConfigError` naming the setting, its value and the rule."""
    if not holds:
        raise ConfigError(f"{name} = {value!r}, but it must be {rule}", hint=f"set it with --set {name}=...")


def require_positive(config: Any, *names: str) -> None:
    """Every named setting must be a finite number above zero."""
    for name in names:
        value = getattr(config, name)
        require(math.isfinite(value) and value > 0, name, value, "above zero")


def require_share(config: Any, *names: str) -> None:
    """Every named setting must lie within [0, 1]."""
    for name in names:
        value = getattr(config, name)
        require(0 <= value <= 1, name, value, "within 0 and 1")


def require_seed(config: Any) -> None:
    """The seed must be a number that every generator takes."""
    require(0 <= config.seed < 2**63, "seed", config.seed, "within 0 and 2**63 - 1")


def require_one_of(config: Any, name: str, known: Iterable[str]) -> None:
    """The named setting must be one of `known`."""
    value = getattr(config, name)
    require(value in known, name, value, "one of " + ", ".join(known))


@dataclass(frozen=True)
class ModelConfig:
    """The blocks of SEMINAR and of every baseline.

    Fields:
        width: D, a multiple of heads.
        heads: H.
        keep: K, events the first stage keeps per head.
        embedding_std: standard deviation of freshly initialised attribute and token embeddings.
        id_std: of freshly initialised item ids.
        query_absent: "item" fuses an event without a query from its item alone; "zero" is the paper's behaviour.
        item_absent: "keep" leaves the share of an absent item channel empty; "renormalise" scales the others up.
        alpha: weight of the query in a pair.
        learn_alpha: whether alpha is trained.
        recency: "model" as the model has it (TWIN does), "on" or "off": log time since the event as a score term.
        gain: factor on the attention's matrices at the start.
        short_window: newest events that the ranker's short-term branch reads; 0 leaves the branch out.
        mass: whether the log-partition of both attentions (how much speaks for a target) reaches the logit.
        likeness: whether the cosines of recent events with the target's item reach the logit.
        hidden: width of the ranker's MLP.
        prior: whether the log of an item's training count enters the ranker's logit with a learned factor.
        disabled: channels left out altogether, a string such as "Q" or "TI" (the ablations).
        sparse: sparse gradients for the embedding tables (catalogues of millions of rows).
    """

    width: int = 64
    heads: int = 4
    keep: int = 50
    embedding_std: float = 0.1
    id_std: float = 0.02
    query_absent: str = "item"
    item_absent: str = "keep"
    alpha: float = 0.5
    learn_alpha: bool = False
    recency: str = "model"
    gain: float = 8.0
    short_window: int = 50
    mass: bool = True
    likeness: bool = True
    hidden: int = 128
    prior: bool = True
    disabled: str = ""
    sparse: bool = False

    def __post_init__(self) -> None:
        require_positive(self, "width", "heads", "keep", "embedding_std", "id_std", "hidden", "gain")
        require(self.short_window >= 0, "short_window", self.short_window, "zero or more")
        require(self.width % self.heads == 0, "width", self.width, f"a multiple of heads = {self.heads}")
        require_one_of(self, "query_absent", ("item", "zero"))
        require_one_of(self, "item_absent", ("keep", "renormalise"))
        require_one_of(self, "recency", ("model", "on", "off"))
        require(set(self.disabled) <= set(CHANNELS), "disabled", self.disabled, f"letters of {''.join(CHANNELS)}")
        require(0 < self.alpha < 1, "alpha", self.alpha, "between 0 and 1")


@dataclass(frozen=True)
class BatchConfig:
    """What one step sees.

    Fields:
        batch_size: lives in a step, B.
        max_length: newest events of a life that the model reads, L.
        window: most events of a life that a training step reads; shorter windows buy more targets for the time.
        targets_per_life: positions of each life that are predicted, P.
        negatives: rivals of each target, N - 1.
        sampler: how rivals are drawn.
        hide_query: share of targets that are asked without their query (the recommendation question).
        last_only: only the last training position of each life (the paper's released code; for comparison).
    """

    batch_size: int = 16
    max_length: int = 1000
    window: int = 384
    targets_per_life: int = 8
    negatives: int = 20
    sampler: str = "uniform"
    hide_query: float = 0.5
    last_only: bool = False

    def __post_init__(self) -> None:
        require_positive(self, "batch_size", "max_length", "window", "targets_per_life", "negatives")
        require_share(self, "hide_query")
        require_one_of(self, "sampler", ("uniform", "popularity"))
        require(not self.last_only or self.targets_per_life == 1, "targets_per_life", self.targets_per_life, "1 here")


@dataclass(frozen=True)
class OptimiserConfig:
    """How weights move.

    Fields:
        learning_rate: of projections, attention and MLP.
        embedding_learning_rate: of embedding tables.
        value_learning_rate: of W^V and W^O, which begin as the identity; 0 leaves them there.
        warmup: steps over which all rates rise from zero.
        final_rate: share of the rates that is left at the last step, reached in a straight line; 1 = no decay.
        weight_decay: decoupled, on everything but embedding tables.
        clip: largest gradient norm; 0 = no clipping.
        precision: "auto" is bfloat16 autocast on CUDA and float32 on the CPU.
    """

    learning_rate: float = 8e-3
    embedding_learning_rate: float = 8e-3
    value_learning_rate: float = 8e-3
    warmup: int = 10
    final_rate: float = 0.02
    weight_decay: float = 0.0
    clip: float = 5.0
    precision: str = "auto"

    def __post_init__(self) -> None:
        require_positive(self, "learning_rate", "embedding_learning_rate")
        for name in ("value_learning_rate", "weight_decay", "clip"):
            require(0 <= getattr(self, name) < math.inf, name, getattr(self, name), "zero or more")
        require(self.warmup >= 0, "warmup", self.warmup, "zero or more")
        require(0 < self.final_rate <= 1, "final_rate", self.final_rate, "above 0 and at most 1")
        require_one_of(self, "precision", PRECISIONS)

    def rate(self, step: int, steps: int) -> float:
        """Factor on the learning rates at step number `step` of a training of `steps`."""
        rise = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        done = min(step / max(steps - 1, 1), 1.0)
        return rise * (1 - (1 - self.final_rate) * done)


@dataclass(frozen=True)
class BudgetConfig:
    """When training ends and how often it is looked at.

    Fields:
        steps: most steps.
        seconds: most seconds of training, validation included.
        evaluate_every: steps between validations.
        patience: validations without a better one before stopping.
        validation_people: people in the fixed validation subset, at most.
        keep_every: keep a checkpoint of its own every so many steps (0 = only step 0, best and last).
        frames: keep the weights of at most that many steps on the way, evenly spread whenever the run ends, for the
            film of the alignment map (0 = none; ignored where `keep_every` says which).
    """

    steps: int = 250
    seconds: float = 90.0
    evaluate_every: int = 50
    patience: int = 6
    validation_people: int = 500
    keep_every: int = 0
    frames: int = 0

    def __post_init__(self) -> None:
        require(self.steps >= 0, "steps", self.steps, "zero or more")
        require_positive(self, "seconds", "evaluate_every", "patience", "validation_people")
        for name in ("keep_every", "frames"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "zero or more")


@dataclass(frozen=True)
class EncoderConfig:
    """Which frozen vectors the channels text and image read."""

    text: str = "tfidf-svd-256"
    image: str = "histogram"


@dataclass(frozen=True)
class ObjectiveConfig:
    """Weights of the pretraining objectives; zero switches one off.

    Fields:
        neighbour: an event beside the items that follow it in the same life.
        next_pair: the next query-item pair.
        alignment: alignment of the item channels.
        relevance: relevance of a query to its item.
        masked_attribute, masked_event: the optional extras.
        temperature: of alignment, relevance and masked attributes.
        learn_temperature: whether it is trained.
        next_loss: "softmax" over the candidates, or "bce".
        hard_negatives: next pair on that many highest-scoring rivals alone; 0 = on all.
        in_batch_negatives: further rivals of the next pair: the positives of that many other lives of the batch.
        held_out: seeded share of items that never enter alignment.
        sample: most items or events of a batch that one loss compares.
        hide_ids: share of item ids that each step hides, so that content carries an item without them.
    """

    neighbour: float = 1.0
    next_pair: float = 0.0
    alignment: float = 0.1
    relevance: float = 0.5
    masked_attribute: float = 0.0
    masked_event: float = 0.0
    temperature: float = 0.05
    learn_temperature: bool = False
    next_loss: str = "softmax"
    hard_negatives: int = 0
    in_batch_negatives: int = 0
    held_out: float = 0.1
    sample: int = 512
    hide_ids: float = 0.3

    def __post_init__(self) -> None:
        for name, value in self.weights().items():
            require(0 <= value < math.inf, name, value, "zero or more")
        require(any(self.weights().values()), "neighbour", self.neighbour, "above zero: all objectives are off")
        require_positive(self, "temperature", "sample")
        for name in ("hard_negatives", "in_batch_negatives"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "zero or more")
        require_one_of(self, "next_loss", LOSSES)
        require_share(self, "held_out", "hide_ids")

    def weights(self) -> dict[str, float]:
        """Objective -> weight, zeros included."""
        names = ("neighbour", "next_pair", "alignment", "relevance", "masked_attribute", "masked_event")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class RestoreConfig:
    """What a finetuning run takes from its PSU and what it keeps still.

    Fields:
        freeze_embeddings: embedding tables.
        freeze_projections: projections of the frozen encoders' vectors.
        freeze_g: the square projections between PSU and ranker.
    """

    freeze_embeddings: bool = False
    freeze_projections: bool = False
    freeze_g: bool = False


@dataclass(frozen=True)
class TaskConfig:
    """What a ranker answers, one logit for each task; the first one ranks.

    Fields:
        tasks: "next" is what comes next; "next,label" adds a head for the data's own labels (1 or 0).
        label_weight: weight of the label's loss beside the ranking loss.
        labels_per_life: labelled events of each life in a step.
    """

    tasks: str = "next"
    label_weight: float = 0.5
    labels_per_life: int = 8

    def __post_init__(self) -> None:
        require(self.tasks in TASKS, "tasks", self.tasks, " or ".join(map(repr, TASKS)))
        require_positive(self, "label_weight", "labels_per_life")

    @property
    def count(self) -> int:
        """Logits per candidate."""
        return len(self.tasks.split(","))

    @property
    def labelled(self) -> int:
        """Labelled events of each life that a step draws; 0 where labels are no task."""
        return self.labels_per_life if self.count > 1 else 0


@dataclass(frozen=True)
class PretrainConfig:
    """All settings of `pretrain`."""

    model: ModelConfig = field(default_factory=ModelConfig)
    batches: BatchConfig = field(default_factory=lambda: BatchConfig(hide_query=0.0))
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    objectives: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    budget: BudgetConfig = field(default_factory=lambda: BudgetConfig(steps=400, frames=6))
    encoders: EncoderConfig = field(default_factory=EncoderConfig)
    split: str = "position"
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        require_one_of(self, "split", SPLITS)
        require_seed(self)


@dataclass(frozen=True)
class QuantiserConfig:
    """What the model `seminar-pq` selects by; other models do not read it.

    Fields:
        spec: specification of the quantiser.
        codebooks: "two-step" makes them anew from the model's vectors at every validation; "end-to-end" lets the
            centroids of a residual quantiser learn with the model, straight through the codes.
    """

    spec: str = DEFAULT_SPEC
    codebooks: str = "two-step"

    def __post_init__(self) -> None:
        require_one_of(self, "codebooks", CODEBOOKS)


@dataclass(frozen=True)
class FinetuneConfig:
    """All settings of `finetune`.

    Fields:
        loss: "softmax" over the candidates of a target, or "bce".
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    batches: BatchConfig = field(default_factory=BatchConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    encoders: EncoderConfig = field(default_factory=EncoderConfig)
    restore: RestoreConfig = field(default_factory=RestoreConfig)
    answers: TaskConfig = field(default_factory=TaskConfig)
    quantiser: QuantiserConfig = field(default_factory=QuantiserConfig)
    loss: str = "softmax"
    split: str = "position"
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        require_one_of(self, "split", SPLITS)
        require_one_of(self, "loss", LOSSES)
        require_seed(self)


def shared_settings(config: PretrainConfig, finetune: FinetuneConfig) -> PretrainConfig:
    """`config` with what `finetune` shares with it: all but budget, objectives, optimiser and hidden queries."""
    batches = replace(finetune.batches, hide_query=config.batches.hide_query)
    return replace(
        config,
        model=finetune.model,
        batches=batches,
        encoders=finetune.encoders,
        split=finetune.split,
        seed=finetune.seed,
        device=finetune.device,
    )
