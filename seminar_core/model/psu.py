"""The Pretraining Search Unit (PSU): channels, fusion and target attention trained by objectives before any ranking.

Model layer, seventh step. Source: SEMINAR (arXiv 2407.10714), section 3.2. Departures: the next pair is predicted by
the same target attention that serves downstream (there is no <EOS> token); alignment has hard targets over distinct
items, of which a seeded tenth never takes part; relevance is InfoNCE in both directions. An objective of ours,
`neighbour`, brings an event beside the items that follow it in the same life, with item ids hidden at random, so that
content carries items whose id was never learned: the motivation of the paper, as an objective.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..contracts import ChannelVectors, Folded
from ..errors import ConfigError, UnknownNameError
from .attention import HeadValues, TargetScore, aggregate, keep_best, kept_softmax
from .channels import Channels
from .esu import TargetAttention
from .fold import channel_vectors, fold, fold_many
from .fusion import Fusion
from .gsu import TopScores
from .lookup import on_cpu
from .losses import RANKING_LOSSES, first_occurrence, hardest, info_nce, neighbour_loss, ranking_loss
from .pieces import in_pieces
from .search import Encoded, Encoder, Search, begin, compare, fused_tables
from .tensors import LifeTensors, TargetTensors

EVENT_OBJECTIVES = ("neighbour", "relevance", "masked_event")
"""Objectives over the events of a batch, called with (life, events, generator)."""
OBJECTIVES = ("neighbour", "next_pair", "alignment", "relevance", "masked_attribute", "masked_event")
DEFAULT_OBJECTIVES = {"next_pair": 1.0, "alignment": 1.0, "relevance": 1.0}
REACH = 16
NEIGHBOUR_TEMPERATURE = 0.1


@dataclass(frozen=True)
class PSUOutput:
    """One step of pretraining.

    Fields:
        logits: (B, P, N) interest . f(pair); None where the next pair is no objective.
        interest: (B, P, N, D), likewise.
        losses: each objective that is on, unweighted, by name.
        total: their weighted sum.
    """

    logits: Tensor | None
    interest: Tensor | None
    losses: dict[str, Tensor]
    total: Tensor


class PSU(nn.Module):
    """Channels, fusion, one search unit, and the objectives that train them.

    Args:
        channels, fusion: the first blocks of the journey.
        heads: H.
        keep: K.
        objectives: weight of each objective; absent or zero = off.
        heldout: (I+1,) bool, items that never enter the alignment loss.
        next_loss: "softmax" or "bce".
        hard_negatives: train the next pair on this many highest-scoring negatives alone; 0 = on all.
        in_batch_negatives: further negatives of the next pair, the positives of that many other lives.
        temperature: of alignment, relevance and masked attributes; the starting point when learned.
        learn_temperature: train it (as a logarithm).
        sample: most items (alignment) and events (relevance) of a batch that one loss compares.
        recency: additive score term in log time since the event.
        hide_ids: share of item ids that each step hides, drawn anew.
        popularity: (I+1,) training events of each item, for the correction of `neighbour`; None = all alike.
    """

    heldout: Tensor
    log_q: Tensor

    def __init__(
        self,
        *,
        channels: Channels,
        fusion: Fusion,
        heads: int = 4,
        keep: int = 50,
        objectives: Mapping[str, float] = DEFAULT_OBJECTIVES,
        heldout: Tensor | None = None,
        next_loss: str = "softmax",
        hard_negatives: int = 0,
        in_batch_negatives: int = 0,
        temperature: float = 0.05,
        learn_temperature: bool = False,
        sample: int = 1024,
        recency: bool = False,
        gain: float = 1.0,
        hide_ids: float = 0.0,
        popularity: Tensor | None = None,
    ):
        super().__init__()
        for name, weight in objectives.items():
            if name not in OBJECTIVES:
                raise UnknownNameError("objective", name, OBJECTIVES)
            if not 0 <= weight < math.inf:
                raise ConfigError(f"objective {name} has weight {weight}, expected >= 0", hint="0 switches it off")
        if temperature <= 0:
            raise ConfigError(f"temperature is {temperature}, expected > 0", hint="0.05 is the default")
        self.channels, self.fusion = channels, fusion
        self.score = TargetScore(width=channels.width, heads=heads, recency=recency, gain=gain)
        self.values = HeadValues(width=channels.width, heads=heads)
        self.linear_first_stage = not recency
        self.cells: int | None = None
        self._tables: tuple[Tensor, Tensor] | None = None
        self.gsu, self.esu = TopScores(keep=keep), TargetAttention()
        self.objectives = {name: float(weight) for name, weight in objectives.items() if weight > 0}
        held = torch.zeros(channels.n_items + 1, dtype=torch.bool) if heldout is None else torch.as_tensor(heldout)
        self.register_buffer("heldout", held.clone().bool(), persistent=False)
        if next_loss not in RANKING_LOSSES:
            raise UnknownNameError("loss", next_loss, RANKING_LOSSES)
        self.next_loss, self.sample, self.hide_ids = next_loss, sample, hide_ids
        counts = torch.ones(channels.n_items + 1) if popularity is None else torch.as_tensor(popularity).float()
        self.register_buffer("log_q", counts.clamp(min=1).log(), persistent=False)
        self.hard_negatives, self.in_batch_negatives = hard_negatives, in_batch_negatives
        start = torch.tensor(math.log(temperature))
        if learn_temperature:
            self.log_temperature = nn.Parameter(start)
        else:
            self.register_buffer("log_temperature", start, persistent=False)

    def encoder(self) -> Encoder:
        """Rows to pair vectors, without projections G."""
        return Encoder(self.channels, self.fusion, None, self._tables)

    def pair(self, item: Tensor, query: Tensor) -> Tensor:
        """f of (...) item and query rows -> (..., D)."""
        return self.encoder().encode(item, query).pair

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

    def search(self, life: LifeTensors, targets: TargetTensors) -> Search:
        """Encoded batch with the score rows."""
        return begin(life, targets, self.encoder(), self.score, "pair")

    def forward(self, life: LifeTensors, targets: TargetTensors, generator: torch.Generator | None = None) -> PSUOutput:
        """One pass: logits of the next pair and every objective that is on.

        Args:
            life, targets: the batch; candidate 0 is the true next pair.
            generator: draws which items and events the sampled losses compare.
        """
        with self.channels.hiding(self.hidden_ids(generator, life.item.device)):
            return self._forward(life, targets, generator)

    def hidden_ids(self, generator: torch.Generator | None, device: torch.device) -> Tensor | None:
        """(I+1,) bool, item ids that this step hides; None where none are."""
        if not self.hide_ids:
            return None
        return torch.rand(self.channels.n_items + 1, generator=generator, device=device) < self.hide_ids

    def _forward(self, life: LifeTensors, targets: TargetTensors, generator: torch.Generator | None) -> PSUOutput:
        allowed, logits, interest = None, None, None
        if "next_pair" in self.objectives:
            if self.in_batch_negatives:
                targets, allowed = targets.with_in_batch(self.in_batch_negatives)
            events, candidates = self.encoder().encode_batch(life, targets)
            logits, interest = self.logits(life, targets, events, candidates)
        else:
            events = self.encoder().encode(life.item, life.query)
        losses = {}
        for name in self.objectives:
            if name == "next_pair" and logits is not None:
                losses[name] = self.next_pair(logits, targets.valid, allowed)
            elif name in EVENT_OBJECTIVES:
                losses[name] = getattr(self, name)(life, events, generator)
        if {"alignment", "masked_attribute"} & set(self.objectives):
            rows, first = self.sampled_items(life, targets, generator)
            vectors, present = self.channels.items(rows)
            if "alignment" in self.objectives:
                losses["alignment"] = self.alignment(rows, vectors, present, first)
            if "masked_attribute" in self.objectives:
                losses["masked_attribute"] = self.masked_attribute(rows, vectors, present, first)
        total = sum((self.objectives[name] * loss for name, loss in losses.items()), events.pair.new_zeros(()))
        return PSUOutput(logits, interest, losses, total)

    def logits(
        self, life: LifeTensors, targets: TargetTensors, events: Encoded, candidates: Encoded
    ) -> tuple[Tensor, Tensor]:
        """interest . f(pair) (B, P, N) and interest (B, P, N, D), piece by piece."""
        encoder = self.encoder()

        def look(life: LifeTensors, targets: TargetTensors, events: Encoded, candidates: Encoded) -> tuple[Tensor, ...]:
            search = compare(life, targets, events, candidates, encoder, self.score, "pair")
            interest = self.esu(search, self.gsu(search), self.values).interest
            return (interest * search.candidates.pair).sum(-1).float(), interest

        logits, interest = in_pieces(look, life, targets, events, candidates, self.score.heads, self.cells)
        return logits, interest

    def rank(self, life: LifeTensors, targets: TargetTensors) -> Tensor:
        """Logits (B, P, N) without the losses."""
        return self.logits(life, targets, *self.encoder().encode_batch(life, targets))[0]

    @contextmanager
    def prepared(self) -> Iterator[PSU]:
        """Inside the block every item and query is fused once and looked up afterwards; weights must rest."""
        self._tables = fused_tables(Encoder(self.channels, self.fusion))
        try:
            yield self
        finally:
            self._tables = None

    def sampled_items(
        self, life: LifeTensors, targets: TargetTensors, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """At most `sample` item rows of the batch, and which of them are real and the first of their kind."""
        positive = targets.item[:, :, 0] * targets.valid
        rows = torch.cat([(life.item * life.valid).reshape(-1), positive.reshape(-1)])
        if on_cpu(rows):
            rows = rows.unique()
        order = torch.randperm(len(rows), generator=generator, device=rows.device)[: self.sample]
        rows = rows[order]
        return rows, first_occurrence(rows) & (rows != 0)

    def alignment(self, rows: Tensor, vectors: Tensor, present: Tensor, first: Tensor) -> Tensor:
        """L_align: mean over the pairs of item channels of symmetric InfoNCE between an item's two vectors.

        Args:
            rows: (m,) item rows.
            vectors: (m, 3, D) their channel vectors.
            present: (m, 3) bool.
            first: (m,) bool, the rows that count.
        """
        usable = (first & ~self.heldout[rows]).unsqueeze(1) & present  # (m, 3)
        names = [m for m, c in enumerate(("A", "T", "I")) if c in self.channels.enabled]
        pairs = [(i, j) for i in names for j in names if i < j]
        losses = [
            info_nce(vectors[:, i], vectors[:, j], usable[:, i] & usable[:, j], rows, self.log_temperature.exp())
            for i, j in pairs
        ]
        return sum(losses, vectors.new_zeros(())) / max(len(losses), 1)

    def next_pair(self, logits: Tensor, valid: Tensor, allowed: Tensor | None = None) -> Tensor:
        """L_next from logits (B, P, N), candidate 0 the true next pair; `allowed` (B, P, N) bool may leave some out."""
        if self.hard_negatives:
            logits, allowed = hardest(logits, self.hard_negatives, allowed)
        return ranking_loss(self.next_loss, logits, valid, allowed)

    def relevance(self, life: LifeTensors, events: Encoded, generator: torch.Generator | None) -> Tensor:
        """L_rel: InfoNCE between the query and the item of events that have a query, both directions."""
        width = self.channels.width
        has_query = (events.has_query & life.valid).reshape(-1)
        key = torch.rand(len(has_query), generator=generator, device=has_query.device) + has_query
        place = key.topk(min(self.sample, len(key)), sorted=False).indices
        query = events.query.reshape(-1, width)[place]
        item = events.item.reshape(-1, width)[place]
        rows = life.item.reshape(-1)[place]
        return info_nce(query, item, has_query[place] & (rows != 0), rows, self.log_temperature.exp())

    def neighbour(self, life: LifeTensors, events: Encoded, generator: torch.Generator | None) -> Tensor:
        """L_neighbour: an event's pair beside the item of an event 1 to `REACH` later in the same life."""
        length, width = life.item.shape[1], self.channels.width
        device = life.item.device
        last = life.valid.sum(1) - 1  # (B,)
        place = torch.arange(length, device=device)
        usable = ((place < last.unsqueeze(1)) & (life.item != 0)).reshape(-1)
        key = torch.rand(len(usable), generator=generator, device=device) + usable
        drawn = key.topk(min(self.sample, len(key)), sorted=False).indices
        person = drawn // length
        ahead = torch.randint(1, REACH + 1, (len(drawn),), generator=generator, device=device)
        later = torch.minimum(drawn % length + ahead, last[person].clamp(min=0)) + person * length
        rows = life.item.reshape(-1)[later]
        return neighbour_loss(
            events.pair.reshape(-1, width)[drawn],
            events.item.reshape(-1, width)[later],
            usable[drawn] & (rows != 0),
            person,
            rows,
            self.log_q[rows],
            NEIGHBOUR_TEMPERATURE,
        )

    def masked_attribute(self, rows: Tensor, vectors: Tensor, present: Tensor, first: Tensor) -> Tensor:
        """Predict an item's first attribute value from its text and image; other items' values are the negatives."""
        if self.channels.attribute_embedding is None:
            return vectors.new_zeros(())
        weights = self.fusion.item_weights()
        seen = vectors[:, 1] * weights[1] + vectors[:, 2] * weights[2]  # (m, D)
        value = self.channels.attributes[rows, 0]  # (m,)
        valid = first & (value != 0) & present[:, 1:].any(1)
        wanted = F.embedding(value, self.channels.attribute_embedding)
        return info_nce(seen, wanted, valid, value, self.log_temperature.exp(), both=False)

    def masked_event(
        self, life: LifeTensors, events: Encoded, generator: torch.Generator | None, others: int = 20
    ) -> Tensor:
        """Predict one hidden event of each life from all its other events; events of other lives are the negatives."""
        pair = events.pair
        b, length, _ = pair.shape
        hidden = (torch.rand(b, length, generator=generator, device=pair.device) + life.valid).argmax(1)  # (B,)
        mine = pair[torch.arange(b, device=pair.device), hidden]  # (B, D)
        shift = torch.arange(1, min(others, b - 1) + 1, device=pair.device)
        other = (torch.arange(b, device=pair.device).unsqueeze(1) + shift) % b  # (B, N - 1)
        candidates = torch.cat([mine.unsqueeze(1), mine[other]], 1).unsqueeze(1)  # (B, 1, N, D)
        allowed = life.valid & (torch.arange(length, device=pair.device) != hidden.unsqueeze(1))
        scores = self.score(candidates, pair)
        best = keep_best(scores, allowed[:, None, None, None, :], self.gsu.keep)
        interest = self.values(aggregate(kept_softmax(scores, best)[0], pair))
        logits = (interest * candidates).sum(-1)  # (B, 1, N)
        item = life.item[torch.arange(b, device=pair.device), hidden]
        differs = torch.cat([torch.ones_like(item, dtype=torch.bool).unsqueeze(1), item[other] != item.unsqueeze(1)], 1)
        return ranking_loss("softmax", logits, life.valid.any(1, keepdim=True), differs.unsqueeze(1))
