"""The downstream network: restored channels, projections G, fusion, a first and a second stage, and an MLP.

Model layer, last step: a life and candidates in, one logit per candidate and task out. Source: SEMINAR (arXiv
2407.10714), section 3.4. One class serves every model; `baselines.build_model` composes it. Departures, for every model
alike: each task's logit adds a learned multiple of interest . f(target), the PSU's own logit, so that a restored ranker
starts from the PSU's order; a short-term branch stands beside the long-term search; how much speaks for the target (the
mass of both attentions, the likeness of recent events) enters the first task's logit beside what it says; so does an
optional prior (log training count of an item).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from ..contracts import ChannelVectors, Folded
from ..errors import ShapeError
from .attention import HeadValues, TargetScore
from .channels import Channels
from .esu import Attended
from .fold import channel_vectors, fold, fold_many
from .fusion import Fusion, Projections
from .gsu import Selected
from .losses import label_loss, ranking_loss, softmax_loss
from .pieces import in_pieces
from .psu import PSU
from .search import Encoded, Encoder, Search, begin, compare, fused_tables
from .short_term import TEMPERATURES, Recent, ShortTerm
from .tensors import LifeTensors, TargetTensors

N_CONTEXT = 4
MASS_SCALE = 5.0  # log-sums over lives are of this order
SHORT_WINDOW = 50
PARTS = ("long", "short", "direct", "prior", "mlp")
"""What adds up to the logit that ranks: the long-term and the short-term branch (match with the target, and mass), the
direct likeness of recent events to the target's item, the popularity prior, and the network over all of it."""
NEXT_TASK, LABEL_TASK = 0, 1
"""Places of the logits: what comes next, which ranks, and the label that the data gives an event."""


@dataclass(frozen=True)
class RankOutput:
    """What a pass through the ranker answers.

    Fields:
        logits: (B, P, N), or (B, P, N, tasks) with more than one task.
        interest: (B, P, N, D).
        target: (B, P, N, D) the candidates' pair vectors.
        auxiliary: losses of the model's own to be added, by name; empty outside training.
    """

    logits: Tensor
    interest: Tensor
    target: Tensor
    auxiliary: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Inspection:
    """The insides of one pass.

    Fields:
        scores: (B, P, N, H, L) first-stage scores as the second stage reads them, or None.
        kept: (B, P, N, H, L) bool.
        weights: (B, P, N, H, L) second-stage weights, or None.
        interest: (B, P, N, D).
        logits: (B, P, N) or (B, P, N, tasks).
    """

    scores: Tensor | None
    kept: Tensor
    weights: Tensor | None
    interest: Tensor
    logits: Tensor


class Ranker(nn.Module):
    """One downstream model.

    Args:
        channels, fusion: as the PSU has them.
        gsu, esu: the two stages.
        heads: H.
        hidden: width of the MLP.
        tasks: logits per candidate; the first ranks.
        scores: None for a model without target attention, else "pair" or "item", which vectors it compares.
        recency: additive score term in log time since the event.
        item_prior: (I+1,) log-popularity or the like, added to the logit with a learned factor; None = none.
        gain: factor on W^Q and W^K at the start.
        short_window: newest events that the short-term branch reads; 0 = no such branch.
        mass: let the log-partition of both attentions reach the logit.
        likeness: let the cosines of recent events with the target's item reach the logit.
    """

    item_prior: Tensor

    def __init__(
        self,
        *,
        channels: Channels,
        fusion: Fusion,
        gsu: nn.Module,
        esu: nn.Module,
        heads: int = 4,
        hidden: int = 128,
        tasks: int = 1,
        scores: str | None = "pair",
        recency: bool = False,
        item_prior: Tensor | None = None,
        gain: float = 1.0,
        short_window: int = SHORT_WINDOW,
        mass: bool = True,
        likeness: bool = True,
    ):
        super().__init__()
        width = channels.width
        self.channels, self.fusion, self.gsu, self.esu = channels, fusion, gsu, esu
        self.projections = Projections(width=width, enabled=channels.enabled)
        self.scores_by = scores
        self.score = None if scores is None else TargetScore(width=width, heads=heads, recency=recency, gain=gain)
        self.values = HeadValues(width=width, heads=heads)
        self.heads, self.tasks = heads, tasks
        self.short = ShortTerm(width=width, heads=heads, window=short_window, gain=gain) if short_window else None
        recent = self.short is not None
        self.mass_scale = nn.Parameter(torch.zeros(heads)) if mass and esu.has_mass else None
        self.short_match_scale = nn.Parameter(torch.ones(())) if recent else None
        self.short_mass_scale = nn.Parameter(torch.full((heads,), 0.5 / heads)) if recent and mass else None
        kinds = len(TEMPERATURES)
        self.likeness_scale = nn.Parameter(torch.full((kinds,), 0.7 / kinds)) if recent and likeness else None
        inputs = 2 * width + N_CONTEXT + int(esu.n_features) + width * recent  # type: ignore[arg-type]
        inputs += sum(0 if part is None else len(part) for part in self._amount_scales())
        last = nn.Linear(hidden // 2, tasks)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)
        self.mlp = nn.Sequential(
            nn.Linear(inputs, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden // 2),
            nn.ReLU(),
            last,
        )
        self.match_scale = nn.Parameter(torch.ones(()))
        self.further_scale = nn.Parameter(torch.ones(tasks - 1)) if tasks > 1 else None
        self.prior_scale = None
        if item_prior is not None:
            if len(item_prior) != channels.n_items + 1:
                raise ShapeError(
                    f"item_prior has {len(item_prior)} rows, expected {channels.n_items + 1}",
                    hint="one per item and row 0",
                )
            self.register_buffer("item_prior", torch.as_tensor(item_prior).float().clone(), persistent=False)
            self.prior_scale = nn.Parameter(torch.ones(()))
        self.linear_first_stage = False
        self.cells: int | None = None
        self._tables: tuple[Tensor, Tensor] | None = None

    def encoder(self) -> Encoder:
        """Rows to pair vectors, projections G applied."""
        return Encoder(self.channels, self.fusion, self.projections, self._tables)

    @contextmanager
    def prepared(self) -> Iterator[Ranker]:
        """Inside the block every item and query is fused once and looked up afterwards; weights must rest."""
        self._tables = fused_tables(Encoder(self.channels, self.fusion, self.projections))
        try:
            yield self
        finally:
            self._tables = None

    def forward(self, life: LifeTensors, targets: TargetTensors) -> RankOutput:
        """Score every candidate of every target in one batched pass."""
        encoder = self.encoder()

        def look(life: LifeTensors, targets: TargetTensors, events: Encoded, candidates: Encoded) -> tuple[Tensor, ...]:
            search = compare(life, targets, events, candidates, encoder, self.score, self.scores_by or "pair")
            selected = self.gsu(search)
            attended = self.esu(search, selected, self.values)
            more = () if selected.auxiliary_logits is None else (selected.auxiliary_logits,)
            return (self.logits(search, attended, self.recent(search)), attended.interest, *more)

        events, candidates = encoder.encode_batch(life, targets)
        logits, interest, *more = in_pieces(look, life, targets, events, candidates, self.heads, self.cells)
        auxiliary = {"first_stage": softmax_loss(more[0], targets.valid)} if self.training and more else {}
        return RankOutput(logits, interest, candidates.pair, auxiliary)

    def rank(self, life: LifeTensors, targets: TargetTensors, task: int = NEXT_TASK) -> Tensor:
        """Logits (B, P, N) of one task."""
        return self.of_task(self(life, targets).logits, task)

    def of_task(self, logits: Tensor, task: int) -> Tensor:
        """(B, P, N) of one task from the logits of all."""
        return logits.view(*logits.shape[:3], self.tasks)[..., task]

    @property
    def label_task(self) -> int:
        """The task whose logit answers for an event's label: its own head, or the first task's where it has none."""
        return LABEL_TASK if self.tasks > LABEL_TASK else NEXT_TASK

    def losses(
        self, kind: str, life: LifeTensors, targets: TargetTensors, labelled: TargetTensors | None = None
    ) -> dict[str, Tensor]:
        """Every loss of a training step by name, each a mean over targets.

        Args:
            kind: of the ranking loss, "softmax" or "bce".
            life, targets: the batch; candidate 0 is the positive of the first task.
            labelled: (B, P, 1) events of the same lives with label 1 or 0, for the label's head.
        """
        output = self(life, targets)
        main = ranking_loss(kind, self.of_task(output.logits, NEXT_TASK), targets.valid)
        losses = {"rank": main, **output.auxiliary}
        if labelled is not None:
            logits = self.rank(life, labelled, LABEL_TASK)[..., 0]  # (B, P)
            losses["label"] = label_loss(logits, labelled.label, labelled.valid)
        return losses

    def recent(self, search: Search) -> Recent | None:
        """What the short-term branch says, None for a model without one."""
        return None if self.short is None else self.short(search)

    def _amount_scales(self) -> tuple[nn.Parameter | None, nn.Parameter | None, nn.Parameter | None]:
        """Learned factors of how much speaks for a target: long mass (H,), short mass (H,), likeness (3,)."""
        return self.mass_scale, self.short_mass_scale, self.likeness_scale

    def network(self, search: Search, attended: Attended, recent: Recent | None) -> Tensor:
        """(B, P, N, tasks) of the MLP alone."""
        inputs = [attended.interest, search.candidates.pair, context_features(search, attended)]
        if attended.features is not None:
            inputs.append(attended.features)
        if recent is not None:
            inputs.append(recent.interest)
        amounts = (attended.mass, None, None) if recent is None else (attended.mass, recent.mass, recent.likeness)
        for scale, amount in zip(self._amount_scales(), amounts, strict=True):
            if scale is not None and amount is not None:
                inputs.append(amount / MASS_SCALE)
        return self.mlp(torch.cat(inputs, -1)).float()

    def parts(
        self, search: Search, attended: Attended, recent: Recent | None, network: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The terms of the logit that ranks, each (B, P, N), by the names of `PARTS`; they add up to it."""
        target = search.candidates.pair
        zero = torch.zeros(target.shape[:-1], device=target.device)
        found = dict.fromkeys(PARTS, zero)
        found["mlp"] = (self.network(search, attended, recent) if network is None else network)[..., 0]
        found["long"] = self.match_scale * match(attended.interest, target)
        if self.mass_scale is not None and attended.mass is not None:
            found["long"] = found["long"] + attended.mass @ self.mass_scale
        if recent is not None and self.short_match_scale is not None:
            found["short"] = self.short_match_scale * match(recent.interest, target)
            if self.short_mass_scale is not None:
                found["short"] = found["short"] + recent.mass @ self.short_mass_scale
            if self.likeness_scale is not None:
                found["direct"] = recent.likeness @ self.likeness_scale
        if self.prior_scale is not None:
            found["prior"] = self.prior_scale * self.item_prior[search.targets.item]
        return found

    def logits(self, search: Search, attended: Attended, recent: Recent | None) -> Tensor:
        """(B, P, N) or (B, P, N, tasks) from what both branches found."""
        network = self.network(search, attended, recent)
        first = torch.stack(list(self.parts(search, attended, recent, network).values())).sum(0)
        if self.further_scale is None:
            return first
        further = self.further_scale * match(attended.interest, search.candidates.pair).unsqueeze(-1)
        return torch.cat([first.unsqueeze(-1), network[..., 1:] + further], -1)

    @torch.no_grad()
    def inspect(self, life: LifeTensors, targets: TargetTensors) -> Inspection:
        """Scores, kept events and weights of one pass, for looking at."""
        search = begin(life, targets, self.encoder(), self.score, self.scores_by or "pair")
        selected: Selected = self.gsu(search)
        attended = self.esu(search, selected, self.values)
        shape = (*targets.item.shape, self.heads, life.item.shape[1])
        scores = search.scores if selected.scores is None else selected.scores
        weights = None if attended.weights is None else attended.weights.expand(shape)
        logits = self.logits(search, attended, self.recent(search))
        return Inspection(scores, selected.kept.expand(shape), weights, attended.interest, logits)

    def restore(self, psu: PSU) -> list[str]:
        """Copy every parameter of `psu` that this model has a place for; the MLP and G stay new.

        The short-term branch begins with the same W^Q, W^K, W^V and W^O.

        Returns:
            names of the PSU's tensors that were copied.

        Raises:
            ShapeError: a tensor of the PSU has another shape (another width, data set or number of heads).
        """
        own = self.state_dict()
        copied = []
        for name, value in psu.state_dict().items():
            if name == "log_temperature" or (self.score is None and name.startswith("score.")):
                continue
            if name not in own:
                raise ShapeError(
                    f"the pretrained run has {name} and this model has no place for it",
                    hint="finetune with the same channels, recency and learned alpha as the pretrained run",
                )
            if own[name].shape != value.shape:
                raise ShapeError(
                    f"{name} has shape {tuple(value.shape)} in the pretrained run and {tuple(own[name].shape)} here",
                    hint="pretrain and finetune with the same data set, width, heads and channels",
                )
            own[name].copy_(value)
            copied.append(name)
        if self.short is not None:
            for name in ("score.query", "score.key", "values.value", "values.output"):
                own[f"short.{name}"].copy_(psu.get_parameter(name))
        return copied

    def channel_vectors(self) -> ChannelVectors:
        """See `fold.channel_vectors`."""
        return channel_vectors(self)

    def fold(self, item_row: int, query_row: int = 0, weights: Sequence[float] | None = None) -> Folded:
        """See `fold.fold_many`."""
        return fold(self, item_row, query_row, weights)

    def fold_many(
        self, item: np.ndarray, query: np.ndarray, weights: Sequence[float] | None = None
    ) -> tuple[np.ndarray, float]:
        """See `fold.fold_many`."""
        return fold_many(self, item, query, weights)

    def freeze(self, *, embeddings: bool = False, projections: bool = False, g: bool = False) -> None:
        """Three independent switches: trained tables, channel projections (W_T, W_I, query), and G."""
        for part, frozen in (
            (self.channels.embedding_parameters(), embeddings),
            (self.channels.projection_parameters(), projections),
            (self.projections.parameters(), g),
        ):
            for parameter in part:
                parameter.requires_grad_(not frozen)


def match(interest: Tensor, target: Tensor) -> Tensor:
    """interest . f(target): (..., D) both -> (...) float32."""
    return (interest * target).sum(-1).float()


@torch.no_grad()
def context_features(search: Search, attended: Attended) -> Tensor:
    """What an attention cannot say: (B, P, N, 4) life length, time since the last event, age and sharpness of what
    counted.

    They inform the MLP and are not differentiated. All four are logarithms or shares of order one; the first two are
    the same for every candidate.
    """
    allowed = search.allowed
    shape = search.targets.item.shape
    length = torch.log1p(allowed.sum(-1).float()) / 5  # (B, P)
    gap = search.age.masked_fill(~allowed, torch.inf).amin(-1)
    gap = torch.where(allowed.any(-1), gap, 0.0) / 5  # (B, P)
    both = torch.stack([length, gap], -1).unsqueeze(2).expand(*shape, 2)
    if attended.weights is None:
        return torch.cat([both, torch.zeros_like(both)], -1)
    weights = attended.weights  # (B, P, N or 1, H or 1, L)
    b, p, n, h, events = weights.shape
    age = torch.matmul(weights.reshape(b, p, n * h, events), search.age.unsqueeze(-1)).view(b, p, n, h).mean(-1) / 5
    sharp = weights.amax(-1).mean(-1)  # (B, P, N or 1)
    return torch.cat([both, torch.stack([age, sharp], -1).expand(*shape, 2)], -1)
