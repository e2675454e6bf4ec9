"""`reproduce`: every model and ablation on one data set, one table with intervals over seeds and people.

Training, on top of everything else here. Each (variant, seed, settings, data) leaves one result file; what is there
already is not measured again, so that an interrupted comparison goes on where it stopped. The baseline to beat is
chosen by validation, never by test. Written out as JSON and as Markdown for the docs.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.opening import open_dataset
from ..errors import ConfigError, NotReadyError, SeminarError, UnknownNameError
from ..evaluation.baselines import baseline_ranks
from ..evaluation.intervals import interval_over_seeds
from ..evaluation.metrics import METRICS, mean_metrics, ranking_metrics
from ..evaluation.questions import Questions, ask
from ..evaluation.ranks import Ranks
from ..evaluation.result import Result, current_commit, read_ranks, read_result, write_ranks
from ..files import locked, read_json, read_lines
from ..model.psu import PSU
from ..progress import Progress, silent
from ..runtime import machine_facts, resolve_device, set_threads
from ..training.assembly import Material, build_psu, gather_material, measure
from ..training.assess import slices
from ..training.checkpoint import load_weights
from ..training.finetune import ranker_task
from ..training.loop import BEST, Loop
from ..training.pretrain import psu_task
from ..training.recipe import FinetuneConfig, PretrainConfig
from ..training.settings import to_dict
from ..workspace import Workspace
from .rows import Measurements, add_share, best_baseline, contrast, curves, reference_row, sliced, variant_row
from .table import jsonable, markdown
from .variants import BUDGETS, PAIRS, PARTS, Variant, chosen_variants, finetune_config, limits_of, pretrain_config

log = logging.getLogger(__name__)
OURS = "seminar"


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Fields:
        dataset: name of the data set.
        seeds: how many training seeds, counted from the configuration's own.
        budget: "small" or "full".
        variants: rows of the table.
        pretrain, finetune: the one recipe that all variants share.
    """

    dataset: str
    seeds: int
    budget: str
    variants: tuple[Variant, ...]
    pretrain: PretrainConfig
    finetune: FinetuneConfig

    def __post_init__(self) -> None:
        if self.budget not in BUDGETS:
            raise UnknownNameError("budget", self.budget, BUDGETS)
        if self.seeds < 1:
            raise ConfigError(f"seeds = {self.seeds}, but at least 1 is needed", hint="use --seeds 3")

    def pretrain_config(self, variant: Variant, seed: int) -> PretrainConfig:
        """Settings of the PSU of (variant, seed)."""
        return pretrain_config(self.pretrain, variant, self.budget, seed, self.finetune.budget)

    def work(self) -> list[tuple[Variant, int]]:
        """Every (variant, seed), seed by seed, so that an early stop leaves whole tables."""
        first = self.finetune.seed
        return [(variant, first + n) for n in range(self.seeds) for variant in self.variants]


class Bench:
    """Trains and measures single variants in a directory of result files."""

    def __init__(self, workspace: Workspace, plan: Plan, progress: Progress):
        dataset = open_dataset(workspace, plan.dataset)
        self.plan, self.progress = plan, progress
        self.material: Material = gather_material(dataset, plan.finetune.encoders, plan.finetune.split)
        self.folder = workspace.root / "reproduce" / f"{plan.dataset}-{plan.budget}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.device = resolve_device(plan.finetune.device)
        if self.device == "cpu":
            set_threads(1)
        self.questions: Questions = ask(dataset, self.material.split)
        # A budget in CPU seconds of one thread is the same on a busy machine; a GPU is timed by the wall clock.
        self.clock = time.process_time if self.device == "cpu" else time.monotonic
        self.commit = current_commit()  # of the code that runs, whatever is checked out hours later
        self.finished = 0
        self.began = time.monotonic()

    def identity(self, variant: Variant, seed: int) -> str:
        """Changes when the settings, the data or the seed do."""
        settings = [to_dict(finetune_config(self.plan.finetune, variant, self.plan.budget, seed))]
        settings += [] if variant.psu is None else [to_dict(self.plan.pretrain_config(variant, seed))]
        content = [variant.name, variant.model, settings, self.material.dataset.hash, self.questions.protocol]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

    def stem(self, variant: Variant, seed: int) -> str:
        """Name of the result files of (variant, seed): other settings or data have files of their own."""
        words = "".join(c if c.isalnum() or c == "-" else "_" for c in variant.name)
        return f"{words}-{seed}-{self.identity(variant, seed)}"

    def known(self, variant: Variant, seed: int) -> tuple[Result, Ranks] | None:
        """An earlier measurement with the same identity, None where there is none that can be used."""
        stem, identity = self.stem(variant, seed), self.identity(variant, seed)
        for name in (stem, stem.removesuffix(f"-{identity}")):  # version 0.2 wrote the second
            path = self.folder / f"{name}.json"
            try:
                result, ranks = read_result(path), read_ranks(path.with_suffix(".npz"))
            except SeminarError:
                continue
            if result.extra.get("identity") == identity:
                return result, ranks
        return None

    def measured(self, variant: Variant, seed: int) -> tuple[Result, Ranks]:
        """The measurement of (variant, seed), made now where it is not known."""
        known = self.known(variant, seed)
        if known is not None:
            return known
        config = finetune_config(self.plan.finetune, variant, self.plan.budget, seed)
        psu, pretrained = self.pretrained(variant, seed)
        task = ranker_task(self.material, variant.model, config, self.device, psu)
        work = self.folder / f".work-{self.stem(variant, seed)}"
        shutil.rmtree(work, ignore_errors=True)
        try:
            outcome = Loop(task, work, config.budget, clock=self.clock).run(
                progress=self.inner(variant, seed, "finetune")
            )
            load_weights(work / "checkpoints" / BEST, task.model, task.fingerprint)
            curve = validations(work)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        answer = measure(
            task.model,  # type: ignore[arg-type]
            self.material.dataset,
            self.questions,
            max_length=config.batches.max_length,
            device=self.device,
        )
        counters = outcome.counters
        facts = {
            "identity": self.identity(variant, seed),
            "steps": counters.step,
            "best_step": counters.best_step,
            "seconds": counters.seconds,
            "ended_by": outcome.reason,
            "examples": counters.examples,
            "validation": counters.validation,
            "curve": curve,
            "pretraining": pretrained,
            "people_per_s": answer.people_per_s,
            "device": self.device,
        }
        result = self.result(variant, config, seed, answer.ranks, facts)
        stem = self.stem(variant, seed)
        write_ranks(self.folder / f"{stem}.npz", answer.ranks)
        result.write(self.folder / f"{stem}.json")
        return result, answer.ranks

    def result(
        self, variant: Variant, config: FinetuneConfig, seed: int, ranks: Ranks, facts: dict[str, Any]
    ) -> Result:
        """One measurement as a result file."""
        values = ranking_metrics(ranks)
        return Result(
            name=f"{variant.name}, seed {seed}",
            metrics=mean_metrics(ranks),
            interval={name: interval_over_seeds(values[name][None], ranks.person) for name in METRICS},
            baselines={},
            protocol=self.questions.protocol,
            origin={
                "config": to_dict(config),
                "seed": seed,
                "data_hash": self.material.dataset.hash,
                "command": command_line(),
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "commit": self.commit,
            },
            extra=facts,
        )

    def pretrained(self, variant: Variant, seed: int) -> tuple[PSU | None, dict[str, Any] | None]:
        """The PSU that `variant` is restored from, trained once per settings and seed."""
        if variant.psu is None:
            return None, None
        config, path = self.plan.pretrain_config(variant, seed), self.psu_path(variant, seed)
        if not (path / "done").is_file():
            shutil.rmtree(path, ignore_errors=True)
            task = psu_task(self.material, config, self.device)
            outcome = Loop(task, path, config.budget, clock=self.clock).run(
                progress=self.inner(variant, seed, "pretrain")
            )
            facts = {"steps": outcome.counters.step, "seconds": outcome.counters.seconds}
            (path / "done").write_text(json.dumps(facts), encoding="utf-8")
        psu = build_psu(self.material, config.model, config.objectives, config.seed)
        load_weights(path / "checkpoints" / BEST, psu, self.material.fingerprint)
        return psu, json.loads((path / "done").read_text(encoding="utf-8"))

    def psu_path(self, variant: Variant, seed: int) -> Path:
        """Where the PSU of (variant, seed) is kept until the comparison is whole."""
        content = json.dumps(
            [to_dict(self.plan.pretrain_config(variant, seed)), self.material.dataset.hash], sort_keys=True
        )
        return self.folder / f".psu-{hashlib.sha256(content.encode()).hexdigest()[:12]}"

    def inner(self, variant: Variant, seed: int, phase: str) -> Progress:
        """Progress of one training as part of the whole comparison."""
        every = len(self.plan.work())

        def report(done: int, total: int, message: str) -> None:
            left = time_left(self.finished, every, time.monotonic() - self.began)
            self.progress(self.finished, every, f"{variant.name}, seed {seed}: {phase} {done} of {total}{left}")

        return report


def validations(work: Path) -> list[dict[str, float]]:
    """What a training's validations found: step, seconds of training so far, MRR and HIT@10."""
    lines = (line for line in read_lines(work / "metrics.jsonl") if "validation/MRR" in line)
    return [
        {
            "step": line["step"],
            "seconds": line["time_s"],
            "MRR": line["validation/MRR"],
            "HIT@10": line["validation/HIT@10"],
        }
        for line in lines
    ]


def time_left(finished: int, total: int, seconds: float) -> str:
    """Words for the time that the rest will take at the pace so far; empty before the first is finished."""
    if not finished:
        return ""
    return f", about {(total - finished) * seconds / finished / 60:.0f} min left"


def command_line() -> str:
    """The command that is running, as one would type it."""
    return shlex.join(["python", "-m", "seminar_core", *sys.argv[1:]])


def reproduce(
    workspace: Workspace,
    dataset: str,
    *,
    seeds: int = 3,
    budget: str = "small",
    only: str | None = None,
    pretrain: PretrainConfig | None = None,
    finetune: FinetuneConfig | None = None,
    out: Path | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Compare all models and ablations; the answer of the `reproduce` command.

    Args:
        only: names of variants, separated by ";"; None = all.
        out: directory for `<dataset>-<budget>.md` and `.json`; None = beside the result files. A table there that has
            further rows stays, and `table` of the answer says where this one is.

    Raises:
        UnknownNameError: budget or variant is not known.
        NotReadyError: another process measures on this data set with this budget.
    """
    plan = Plan(
        dataset, seeds, budget, chosen_variants(only), pretrain or PretrainConfig(), finetune or FinetuneConfig()
    )
    bench = Bench(workspace, plan, progress)
    measured: dict[str, Measurements] = {variant.name: [] for variant in plan.variants}
    work = plan.work()
    with alone(bench.folder):
        for variant, seed in work:
            measured[variant.name].append(bench.measured(variant, seed))
            bench.finished += 1
            progress(bench.finished, len(work), f"{variant.name}, seed {seed}: measured")
        for variant, seed in work:
            shutil.rmtree(bench.psu_path(variant, seed), ignore_errors=True)
    answer = assemble(bench, measured)
    table = table_path(out or bench.folder, answer)
    table.parent.mkdir(parents=True, exist_ok=True)
    table.with_suffix(".json").write_text(json.dumps(jsonable(answer), indent=1) + "\n", encoding="utf-8")
    table.write_text(markdown(answer), encoding="utf-8")
    return {**answer, "table": str(table)}


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the right to measure in a folder until the block or the process ends.

    Raises:
        NotReadyError: another process does.
    """
    with ExitStack() as holding:
        try:
            holding.enter_context(locked(folder / ".lock", wait=False))
        except BlockingIOError:
            raise NotReadyError(
                f"another reproduce is measuring in {folder}", hint="wait for it, or give this one another --workspace"
            ) from None
        yield


def table_path(target: Path, answer: dict[str, Any]) -> Path:
    """Where the table goes: `<dataset>-<budget>.md`, or a name of its own where the table there has further rows."""
    name = f"{answer['dataset']}-{answer['budget']}"
    models = [row["model"] for row in answer["rows"]]
    try:
        there = {row["model"] for row in read_json(target / f"{name}.json")["rows"]}
    except (SeminarError, KeyError, TypeError):  # none, or no table
        there = set()
    if not there <= set(models):
        name += f"-{hashlib.sha256(json.dumps(models).encode()).hexdigest()[:8]}"
    return target / f"{name}.md"


def assemble(bench: Bench, measured: dict[str, Measurements]) -> dict[str, Any]:
    """The whole answer from all measurements."""
    material, questions = bench.material, bench.questions
    cold = material.trained[questions.targets.item] == 0
    references = baseline_ranks(material.dataset, material.split, questions)
    best = best_baseline(bench.plan.variants, measured)
    rows = [reference_row(name, ranks) for name, ranks in references.items() if ranks is not None]
    for variant in bench.plan.variants:
        other = None if best is None or variant.name == best else measured[best]
        rows.append(variant_row(variant, measured[variant.name], other, cold))
    add_share(rows)
    return {
        "dataset": bench.plan.dataset,
        "budget": bench.plan.budget,
        "rows": rows,
        "best_baseline": best,
        "pretraining": [
            {"a": a, "b": b, **contrast(measured[a], measured[b], cold)}
            for a, b in PAIRS
            if a in measured and b in measured
        ],
        "parts": [
            {"a": OURS, "b": name, **contrast(measured[OURS], measured[name], cold)}
            for name in PARTS
            if OURS in measured and name in measured
        ],
        "slices": sliced(
            slices(material, questions), measured.get(OURS), None if best is None else measured[best], OURS
        ),
        "curves": curves(measured),
        "protocol": questions.protocol,
        "cold_targets": int(cold.sum()),
        "data_hash": material.dataset.hash,
        "config": {"pretrain": to_dict(bench.plan.pretrain), "finetune": to_dict(bench.plan.finetune)},
        "limits": limits_of(bench.plan.budget, bench.plan.finetune.budget),
        "command": command_line(),
        "commit": bench.commit,
        "machine": machine_facts(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
