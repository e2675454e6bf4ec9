"""Every model of the comparison by name, as another composition of the same blocks.

Model layer. Sources are named in `gsu` and `esu`; TWIN's cross features are the recency term of its score. All models
get the same channels, MLP, prior and training; what differs is which events are kept and how they are weighed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from ..errors import ConfigError, UnknownNameError
from .channels import Channels
from .esu import BucketPooling, MeanPooling, SemanticAttention, TargetAttention
from .fusion import Fusion
from .gsu import (
    CodedTopScores,
    Everything,
    NearestHash,
    NearestMeaning,
    NearestToQuery,
    Newest,
    OwnProjections,
    SameCategory,
    TopScores,
)
from .ranker import SHORT_WINDOW, Ranker


@dataclass(frozen=True)
class Recipe:
    """How one model is composed.

    Fields:
        about: one line for lists.
        gsu: (keep, width, category) -> first stage.
        esu: (width,) -> second stage.
        scores: what target attention compares ("pair", "item"), or None without target attention.
        recency: the score has a recency term unless asked otherwise.
        linear: the first-stage score is linear in the event's channel vectors, so that it can be quantised.
    """

    about: str
    gsu: Callable[[int, int, Tensor | None], nn.Module]
    esu: Callable[[int], nn.Module] = lambda width: TargetAttention()
    scores: str | None = "pair"
    recency: bool = False
    linear: bool = False


def _same_category(keep: int, width: int, category: Tensor | None) -> nn.Module:
    if category is None:
        raise ConfigError("sim-hard needs the category of each item", hint="give category, (I+1,) rows")
    return SameCategory(keep=keep, category=category)


MODELS: dict[str, Recipe] = {
    "seminar": Recipe(
        "top-K of multi-modal target attention, pretrained", lambda k, d, c: TopScores(keep=k), linear=True
    ),
    "seminar-pq": Recipe("the same, selected by quantised events", lambda k, d, c: CodedTopScores(keep=k), linear=True),
    "din": Recipe("target attention over the newest K", lambda k, d, c: Newest(keep=k)),
    "avgpool": Recipe("mean of the whole life", lambda k, d, c: Everything(), lambda d: MeanPooling(), scores=None),
    "sim-hard": Recipe("events of the target's category", _same_category),
    "sim-soft": Recipe("own first-stage projections and loss", lambda k, d, c: OwnProjections(keep=k, width=d)),
    "eta": Recipe("nearest SimHash codes", lambda k, d, c: NearestHash(keep=k, width=d)),
    "sdim": Recipe("hash-bucket pooling", lambda k, d, c: Everything(), lambda d: BucketPooling(width=d), scores=None),
    "twin": Recipe("shared attention with recency, not pretrained", lambda k, d, c: TopScores(keep=k), recency=True),
    "qin": Recipe("first by query, then by item", lambda k, d, c: NearestToQuery(keep=k), scores="item"),
    "muse": Recipe("cosine of frozen vectors", lambda k, d, c: NearestMeaning(keep=k), lambda d: SemanticAttention()),
}


def build_model(
    name: str,
    *,
    channels: Channels,
    fusion: Fusion | None = None,
    heads: int = 4,
    keep: int = 50,
    hidden: int = 128,
    tasks: int = 1,
    category: Tensor | None = None,
    item_prior: Tensor | None = None,
    recency: bool | None = None,
    gain: float = 1.0,
    short_window: int = SHORT_WINDOW,
    mass: bool = True,
    likeness: bool = True,
) -> Ranker:
    """Compose a model by name; its parameters are drawn from torch's global generator.

    Args:
        name: one of `MODELS`.
        channels: built for the data set; the ablations leave channels out there.
        fusion: None = alpha 0.5 and the default treatment of absence.
        heads, keep, hidden, tasks: H, K, width of the MLP, logits per candidate.
        category: (I+1,) category rows, read by sim-hard.
        item_prior: (I+1,) see `Ranker`.
        recency: whether the score has a recency term; None = as the model has it.
        gain, short_window, mass, likeness: see `Ranker`.

    Raises:
        UnknownNameError: `name` is not a model; the message lists the known ones.
    """
    if name not in MODELS:
        raise UnknownNameError("model", name, MODELS)
    recipe = MODELS[name]
    recency = recipe.recency if recency is None else recency
    if name == "muse" and not {"T", "I"} & set(channels.enabled):
        raise ConfigError(
            "muse needs frozen text or image vectors and the model has neither", hint="encode items first"
        )
    ranker = Ranker(
        channels=channels,
        fusion=fusion or Fusion(enabled=channels.enabled),
        gsu=recipe.gsu(keep, channels.width, category),
        esu=recipe.esu(channels.width),
        heads=heads,
        hidden=hidden,
        tasks=tasks,
        scores=recipe.scores,
        recency=recency and recipe.scores is not None,
        item_prior=item_prior,
        gain=gain,
        short_window=short_window,
        mass=mass,
        likeness=likeness,
    )
    ranker.linear_first_stage = recipe.linear and not recency
    return ranker
