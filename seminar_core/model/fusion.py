"""Linear fusion of channels into one pair vector, and the square projections G that a downstream network adds.

Model layer, third step. Source: SEMINAR (arXiv 2407.10714), section 3.1. item = sum of g_m e^m over A, T, I with g a
softmax of three learned logits; pair f = alpha e^Q + (1 - alpha) item. Linearity is what lets the first-stage score
be quantised. Departure: an event without a query is fused from its item alone (alpha = 0 there) unless
`query_absent="zero"`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..contracts import CHANNELS, ITEM_CHANNELS
from ..errors import ConfigError, UnknownNameError

QUERY_ABSENT = ("item", "zero")
ITEM_ABSENT = ("keep", "renormalise")


class Fusion(nn.Module):
    """The channel weights g and alpha.

    Args:
        enabled: channels the model has; the others get weight zero.
        alpha: share of the query, 0 <= alpha < 1; the starting point when learned.
        learn_alpha: train alpha (as a logit).
        query_absent: "item" fuses an event without a query from its item alone; "zero" leaves the query's share empty.
        item_absent: "keep" leaves an absent item channel's share empty; "renormalise" scales the present ones up.
    """

    channel_enabled: Tensor
    fixed_alpha: Tensor

    def __init__(
        self,
        *,
        enabled: Sequence[str] = CHANNELS,
        alpha: float = 0.5,
        learn_alpha: bool = False,
        query_absent: str = "item",
        item_absent: str = "keep",
    ):
        super().__init__()
        if not 0 <= alpha < 1:
            raise ConfigError(
                f"alpha is {alpha}, expected 0 <= alpha < 1", hint="0.5 gives query and item equal shares"
            )
        if learn_alpha and alpha == 0:
            raise ConfigError("a learned alpha cannot start at 0", hint="start it at 0.5")
        if query_absent not in QUERY_ABSENT:
            raise UnknownNameError("query_absent", query_absent, QUERY_ABSENT)
        if item_absent not in ITEM_ABSENT:
            raise UnknownNameError("item_absent", item_absent, ITEM_ABSENT)
        self.query_absent, self.item_absent = query_absent, item_absent
        self.has_query = "Q" in enabled
        self.learn_alpha = learn_alpha and self.has_query
        channels = [c in enabled for c in ITEM_CHANNELS]
        self.register_buffer("channel_enabled", torch.tensor(channels), persistent=False)
        self.logits = nn.Parameter(torch.zeros(3)) if sum(channels) > 1 else None
        if self.learn_alpha:
            self.alpha_logit = nn.Parameter(torch.tensor(math.log(alpha / (1 - alpha))))
        else:
            self.register_buffer("fixed_alpha", torch.tensor(alpha if self.has_query else 0.0))

    @property
    def alpha(self) -> Tensor:
        """() share of the query."""
        return torch.sigmoid(self.alpha_logit) if self.learn_alpha else self.fixed_alpha

    def item_weights(self) -> Tensor:
        """g (3,), summing to one over the enabled item channels."""
        if self.logits is None:
            return self.channel_enabled.float()
        return torch.softmax(self.logits.masked_fill(~self.channel_enabled, -math.inf), 0)

    def weights(self) -> Tensor:
        """w (M,) in the order of `CHANNELS`: [alpha, (1 - alpha) g]."""
        alpha = self.alpha
        return torch.cat([alpha.view(1), (1 - alpha) * self.item_weights()])

    def item_scale(self, present: Tensor) -> Tensor | None:
        """Factor (..., 1) that `item_absent` asks for, from presence (..., 3); None when there is none to apply."""
        if self.item_absent == "keep":
            return None
        mass = present.float() @ self.item_weights()  # (...)
        return torch.where(mass > 0, 1 / mass.clamp(min=1e-12), 1.0).unsqueeze(-1)

    def query_share(self, has_query: Tensor) -> Tensor:
        """Alpha of each event: (...) bool -> (..., 1) float."""
        if self.query_absent == "zero":
            return self.alpha.expand(*has_query.shape, 1)
        return (has_query * self.alpha).unsqueeze(-1)

    def pair(self, item: Tensor, query: Tensor, has_query: Tensor) -> Tensor:
        """f: fused item (..., D), query vector (..., D), whether there is a query (...) -> (..., D)."""
        if not self.has_query:
            return item
        kind = torch.promote_types(item.dtype, query.dtype)
        return torch.lerp(item.to(kind), query.to(kind), self.query_share(has_query).to(kind))


class Projections(nn.Module):
    """The square projections G^m (D x D), one per channel, the identity at the start.

    Source: SEMINAR (arXiv 2407.10714), section 3.4: the downstream network sees each pretrained channel through one.
    """

    def __init__(self, *, width: int, enabled: Sequence[str] = CHANNELS):
        super().__init__()
        eye = torch.eye(width)
        self.query = nn.Parameter(eye.clone()) if "Q" in enabled else None
        self.item = nn.Parameter(eye.expand(3, -1, -1).clone())  # (3, D, D)

    def all(self) -> Tensor:
        """G (M, D, D) in the order of `CHANNELS`."""
        first = torch.eye(self.item.shape[1], device=self.item.device) if self.query is None else self.query
        return torch.cat([first.unsqueeze(0), self.item])
