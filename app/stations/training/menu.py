"""What can be trained from the page: recipes, presets and the words they become.

Training, for the form and its equivalent command line. A choice becomes the words of `pretrain` or `finetune`, nothing
else: whatever the page starts can be typed. Explanations of settings are read from the recipe's own docstrings, so that
they are written once.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from seminar_core.errors import ConfigError, UnknownNameError
from seminar_core.jobs.state import JobSpec
from seminar_core.training.recipe import FinetuneConfig, PretrainConfig
from seminar_core.training.settings import differences, leaves, load_config, to_dict, to_toml


@dataclass(frozen=True)
class RecipeCard:
    """One entry of the recipe menu.

    Fields:
        title, about: for people.
        command: `pretrain` or `finetune`.
        settings: what it changes from the defaults.
        needs_parent: whether it restores a pretrained run.
        models: models to choose from; the first is the default.
    """

    title: str
    about: str
    command: str
    settings: dict[str, str] = field(default_factory=dict)
    needs_parent: bool = False
    models: tuple[str, ...] = ()


BASELINES = ("din", "avgpool", "sim-hard", "sim-soft", "eta", "sdim", "twin", "qin", "muse")

RECIPES: dict[str, RecipeCard] = {
    "pretrain": RecipeCard(
        "Pretrain", "Neighbours, relevance and alignment together: the search unit that others start from.", "pretrain"
    ),
    "finetune": RecipeCard(
        "Finetune", "A ranker that starts from a pretrained run.", "finetune", {}, True, ("seminar", "seminar-pq")
    ),
    "scratch": RecipeCard(
        "From scratch", "The same ranker without pretraining, to see what it is worth.", "finetune", {}, False,
        ("seminar",),
    ),
    "frozen": RecipeCard(
        "Finetune, frozen", "Starts from a pretrained run and keeps its embeddings and projections still.", "finetune",
        {"freeze_embeddings": "true", "freeze_projections": "true"}, True, ("seminar",),
    ),
    "baseline": RecipeCard(
        "Baseline", "Another model on the same batches, with the same budget and selection.", "finetune", {}, False,
        BASELINES,
    ),
    "next-pair": RecipeCard(
        "The paper's objectives", "Next pair, alignment and relevance, without neighbours.", "pretrain",
        {"neighbour": "0", "next_pair": "1", "alignment": "0.5"},
    ),
    "no-alignment": RecipeCard(
        "Ablation: no alignment", "Pretraining without the alignment of modalities.", "pretrain", {"alignment": "0"}
    ),
    "no-relevance": RecipeCard(
        "Ablation: no relevance", "Pretraining without query-item relevance.", "pretrain", {"relevance": "0"}
    ),
    "no-neighbour": RecipeCard(
        "Ablation: no neighbours", "Pretraining without what follows an event.", "pretrain", {"neighbour": "0"}
    ),
    "no-text": RecipeCard("Ablation: no text", "Pretraining blind to titles.", "pretrain", {"disabled": "T"}),
    "no-pictures": RecipeCard("Ablation: no pictures", "Pretraining blind to pictures.", "pretrain", {"disabled": "I"}),
    "no-queries": RecipeCard("Ablation: no queries", "Pretraining blind to queries.", "pretrain", {"disabled": "Q"}),
}  # fmt: skip

PRESETS: dict[str, tuple[str, dict[str, str]]] = {
    "default": ("The recipe's own budget", {}),
    "minute": ("See something in one minute", {"seconds": "45", "steps": "150", "validation_people": "200"}),
    "overnight": (
        "Overnight",
        {"seconds": "28800", "steps": "200000", "evaluate_every": "500", "patience": "20", "keep_every": "5000"},
    ),
}


@dataclass(frozen=True)
class Choice:
    """What was chosen in the form; checked when it becomes words."""

    recipe: str
    dataset: str
    run: str
    model: str = ""
    parent: str = ""
    preset: str = "default"
    device: str = "auto"
    seed: int = 0
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def card(self) -> RecipeCard:
        if self.recipe not in RECIPES:
            raise UnknownNameError("recipe", self.recipe, RECIPES)
        return RECIPES[self.recipe]

    def all_settings(self) -> dict[str, str]:
        """Preset, then recipe, then what was typed."""
        if self.preset not in PRESETS:
            raise UnknownNameError("preset", self.preset, PRESETS)
        return {**PRESETS[self.preset][1], **self.card.settings, **dict(self.settings)}

    def words(self) -> list[str]:
        """The command line, without the program.

        Raises:
            ConfigError: no run name, or a recipe that needs a pretrained run without one.
        """
        card = self.card
        if not self.run:
            raise ConfigError("the run has no name", hint="give it one, for instance my-first-run")
        words = [card.command, "--dataset", self.dataset, "--run", self.run]
        if card.command == "finetune":
            words += ["--model", self.model or card.models[0]]
            if card.needs_parent:
                if not self.parent:
                    raise ConfigError(
                        f"the recipe {card.title!r} starts from a pretrained run and none is chosen",
                        hint="pretrain one first, or choose the recipe 'From scratch'",
                    )
                words += ["--from", self.parent]
        words += ["--seed", str(self.seed), "--device", self.device]
        for name, value in self.all_settings().items():
            words += ["--set", f"{name}={value}"]
        return words

    def config(self) -> PretrainConfig | FinetuneConfig:
        """The checked settings; raises `ConfigError` for unknown or wrong ones."""
        settings = [f"{name}={value}" for name, value in self.all_settings().items()]
        if self.card.command == "pretrain":
            return load_config(PretrainConfig, None, settings, seed=self.seed, device=self.device)
        return load_config(FinetuneConfig, None, settings, seed=self.seed, device=self.device)

    def changed(self) -> dict[str, tuple[Any, Any]]:
        """Dotted setting -> (default, chosen), for what differs from the defaults."""
        config = self.config()
        return differences(to_dict(type(config)()), to_dict(config))

    def toml(self) -> str:
        """The configuration file, opening with the command that uses it."""
        return to_toml(self.config(), f"{command_line(self.words()[:5], background=False)} --config THIS_FILE")


def command_line(
    words: list[str], *, background: bool = True, engine: str = "local", processes: int = 1, nodes: int = 1
) -> str:
    """`words` as they are typed in a shell."""
    start = ["jobs", "start"] if background else []
    told = (("--engine", engine, "local"), ("--processes", processes, 1), ("--nodes", nodes, 1))
    tail = [word for name, value, usual in told if background and value != usual for word in (name, str(value))]
    return shlex.join(["python", "-m", "seminar_core", *start, *words, *tail])


def with_seed(words: list[str], seed: int) -> list[str]:
    """The same training with another seed, as a run of its own: `<run>-seed<N>`."""
    run = re.sub(r"-seed[0-9]+$", "", JobSpec(tuple(words), "").option("run") or words[0])
    replaced = ("--run", "--seed", "--overwrite", "--resume")
    kept = [
        word
        for before, word in zip(["", *words], words, strict=False)
        if word.partition("=")[0] not in replaced and before not in replaced[:2]
    ]
    return [*kept, "--run", f"{run}-seed{seed}", "--seed", str(seed)]


def explanations(kind: type) -> dict[str, str]:
    """Leaf setting -> what it is, from the `Fields:` of the dataclasses' docstrings."""
    found: dict[str, str] = {}
    for part in fields(kind):
        value = getattr(kind(), part.name)
        if is_dataclass(value):
            found.update(_fields_said(type(value).__doc__ or ""))
    return {name: text for name, text in found.items() if name in {n.rpartition(".")[2] for n in leaves(kind())}}


def _fields_said(docstring: str) -> dict[str, str]:
    """`name: text` and `name, name: text` entries below `Fields:`; indented lines continue an entry."""
    _, _, below = docstring.partition("Fields:")
    found: dict[str, str] = {}
    names: list[str] = []
    for line in below.splitlines():
        entry = re.match(r"^ {8}([a-z_0-9, ]+): (.+)$", line)
        if entry:
            names = [name.strip() for name in entry[1].split(",")]
            found.update(dict.fromkeys(names, entry[2]))
        elif line.startswith(" " * 10):
            found.update({name: f"{found[name]} {line.strip()}" for name in names})
    return found
