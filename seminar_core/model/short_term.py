"""The short-term branch: the newest events of a life, attended to on their own, beside the long-term search.

Model layer, beside both stages and the same for every model. Sources: the short-term side of SIM (arXiv 2006.05639),
ETA (arXiv 2108.04468), TWIN (arXiv 2302.02352) and MUSE (arXiv 2512.07216). Departures: each head's score has a learned
slope in log age; besides the interest, how much speaks for the target reaches the ranker: the mass that softmax divides
away, and the likeness, a log-sum over cosines at learned temperatures.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ConfigError
from .attention import HeadValues, TargetScore, aggregate, bias_of, kept_softmax
from .lookup import spread
from .search import Search

TEMPERATURES = (0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Recent:
    """What the newest events say about each target.

    Fields:
        interest: (B, P, N, D).
        mass: (B, P, N, H) log of the sum of exp(score); zero where nothing is visible.
        likeness: (B, P, N, 3) log of the sum of exp(cosine / t), less 1 / t: the log of how many events are as good as
            the target's own item; zero where nothing is visible.
        weights: (B, P, N, H, K) attention over the window, oldest first, zero at places without an event.
    """

    interest: Tensor
    mass: Tensor
    likeness: Tensor
    weights: Tensor


class ShortTerm(nn.Module):
    """Target attention of its own over the newest visible events of each target.

    Args:
        width: D.
        heads: H.
        window: newest events that are read.
        gain: factor on W^Q and W^K at the start.
    """

    def __init__(self, *, width: int, heads: int, window: int, gain: float = 1.0):
        super().__init__()
        if window < 1:
            raise ConfigError(f"window is {window}, expected at least 1", hint="50 is the default")
        self.window = window
        self.score = TargetScore(width=width, heads=heads, recency=True, gain=gain)
        self.values = HeadValues(width=width, heads=heads)
        self.log_temperatures = nn.Parameter(torch.tensor(TEMPERATURES).log())

    def forward(self, search: Search) -> Recent:
        """The newest `window` events that each target of the batch may see."""
        b, length, d = search.events.pair.shape
        p, n = search.targets.item.shape[1:]
        device = search.age.device
        place = search.targets.visible.unsqueeze(-1) + torch.arange(-self.window, 0, device=device)  # (B, P, K)
        at = place.clamp(0, length - 1)
        real = (place >= 0) & search.allowed.gather(-1, at)
        flat = at + torch.arange(b, device=device).view(-1, 1, 1) * length
        events = spread(search.events.pair.reshape(b * length, d), flat.reshape(-1)).view(b * p, self.window, d)
        candidates = search.candidates
        found = self.attend(
            candidates.pair.reshape(b * p, n, d),
            candidates.item.reshape(b * p, n, d),
            events,
            search.age.gather(-1, at).view(b * p, -1),
            real.view(b * p, -1),
        )
        shaped = (field.unflatten(0, (b, p)) for field in (found.interest, found.mass, found.likeness, found.weights))
        return Recent(*shaped)

    def attend(self, pair: Tensor, item: Tensor, events: Tensor, age: Tensor, real: Tensor) -> Recent:
        """Look at windows that are gathered already, one for each of R targets.

        Args:
            pair, item: (R, N, D) the candidates' pair and item vectors.
            events: (R, K, D) pair vectors of the window.
            age: (R, K) log days from event to target.
            real: (R, K) bool, where there is an event.
        """
        scores = self.score(pair.unsqueeze(1), events, age.unsqueeze(1))  # (R, 1, N, H, K)
        bias = bias_of(real)  # (R, K)
        weights, mass = kept_softmax(scores, scores.detach() + bias[:, None, None, None, :])
        interest = self.values(aggregate(weights, events))
        near = torch.bmm(F.normalize(item, dim=-1), F.normalize(events, dim=-1).transpose(1, 2)).float()  # (R, N, K)
        inverse = torch.exp(-self.log_temperatures)  # (3,)
        scaled = near.unsqueeze(-2) * inverse.view(-1, 1) + bias[:, None, None, :]  # (R, N, 3, K)
        some = real.any(-1).view(-1, 1, 1)
        likeness = torch.logsumexp(scaled.masked_fill(~some.unsqueeze(-1), 0.0), -1) - inverse
        return Recent(interest[:, 0], mass[:, 0], likeness * some, weights[:, 0])
