"""The Python interface: data sets, runs and answers for notebooks and scripts, by the functions of page and command.

Interface, on top of everything but the command line. `open` gives a data set, `.run(name)` a trained run, and every
question an `Answer`: a table (`.frame()`), the command's JSON (`.as_dict()`) and, where Plotly is installed, a picture
(`.figure()`). A run keeps its vectors, codebooks and searches warm between questions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from .data.opening import known_datasets, open_dataset
from .errors import NotReadyError
from .files import plain
from .progress import Progress, silent
from .workspace import Workspace, default_workspace

if TYPE_CHECKING:
    from .data.dataset import Dataset
    from .search.question import Question
    from .search.study import Study


class Answer:
    """What a question was answered with; prints as a table.

    Args:
        content: the command's answer.
        frame: makes its table.
        figure: arguments of `DataFrame.plot` that draw it, or None where a table says it best.
    """

    def __init__(
        self, content: Mapping[str, Any], frame: Callable[[], pd.DataFrame], figure: Mapping[str, Any] | None = None
    ):
        self._content, self._frame, self._figure = content, frame, figure

    def as_dict(self) -> dict[str, Any]:
        """What the command prints with `--json`."""
        answer: dict[str, Any] = plain(dict(self._content))
        return answer

    def frame(self) -> pd.DataFrame:
        """The answer as a table."""
        return self._frame()

    def figure(self) -> Any:
        """The answer as a Plotly figure.

        Raises:
            NotReadyError: Plotly is not installed, or the answer has no picture.
        """
        if self._figure is None:
            raise NotReadyError("this answer has no picture", hint="use .frame(), or open the station in the app")
        if util.find_spec("plotly") is None:
            raise NotReadyError("Plotly is not installed", hint="pip install plotly")
        return self.frame().plot(backend="plotly", **self._figure)

    def __getitem__(self, key: str) -> Any:
        """One value of `as_dict`."""
        return self.as_dict()[key]

    def __repr__(self) -> str:
        return repr(self.frame())

    def _repr_html_(self) -> str:
        return str(self.frame()._repr_html_())  # type: ignore[operator]


@dataclass(frozen=True)
class Run:
    """A trained run.

    Fields:
        workspace: where it is.
        name: as `runs` lists it.
    """

    workspace: Workspace
    name: str

    @cached_property
    def study(self) -> Study:
        """The run with its vectors, codebooks and searches; opened at the first question."""
        from .search.study import open_study

        return open_study(self.workspace, self.name)

    @staticmethod
    def _question(person: str, item: str, asked: Mapping[str, Any]) -> Question:
        from .search.question import Question

        names = {"hide_from": "hide_from_s", "hide_to": "hide_to_s"}
        settings = {names.get(name, name): value for name, value in asked.items() if value is not None}
        if "mask" in settings:
            settings["mask"] = tuple(channel.upper() for channel in settings["mask"])
        if "weights" in settings:
            settings["weights"] = tuple(settings["weights"])
        return Question(person, item, **settings)

    def retrieve(self, person: str, item: str, **asked: Any) -> Answer:
        """Exact beside approximate retrieval for one target.

        Args:
            person, item: ids as in the source data.
            asked: as the command's options: query, at, k, spec, shortlist, weights (four numbers), mask (letters),
                hide_from, hide_to, head, method; None = left out.

        >>> answer = run.retrieve(person, item, spec="PQ4x4", k=5)
        >>> answer.frame().columns.tolist()[:4]
        ['event', 'item', 'title', 'kept']
        >>> 0 <= answer["recall"] <= 1
        True
        """
        from .search.answer import ask

        answered = ask(self.study, self._question(person, item, asked))
        dataset = self.study.dataset

        def frame() -> pd.DataFrame:
            words = {"kept": "both", "lost": "exact alone", "gained": "approximate alone"}
            table = answered.verdicts.rename(columns={"verdict": "kept"}).replace({"kept": words})
            table["event"] = table["event"].astype(str)
            table["title"] = [dataset.titles[dataset.item_row(item)] for item in table["item"]]
            order = table[["weight_exact", "weight_approx"]].max(axis=1).sort_values(ascending=False).index
            first = ["event", "item", "title", "kept"]
            return table.loc[order, [*first, *(c for c in table if c not in first)]].reset_index(drop=True)

        return Answer(answered.said, frame, {"kind": "bar", "x": "event", "y": ["weight_exact", "weight_approx"]})

    def explain(self, person: str, item: str, event: str | int, **asked: Any) -> Answer:
        """Why one event was kept or lost: contributions of each target channel (row) and event channel (column)."""
        from .contracts import CHANNELS
        from .search.explanation import explain_event
        from .search.trace import trace

        found = trace(self.study, self._question(person, item, asked), timed=False)
        content = explain_event(self.study, found, str(event))
        names = list(CHANNELS)

        def frame() -> pd.DataFrame:
            return pd.DataFrame(content["contributions"], index=names, columns=names).rename_axis("target")

        return Answer(content, frame, {"kind": "bar"})

    def evaluate(self, **asked: Any) -> Answer:
        """Test metrics with intervals, beside chance, popularity and the oracle; `asked` as the command's options."""
        from .training.assess import evaluate_run

        content = evaluate_run(self.workspace, self.name, **asked)

        def frame() -> pd.DataFrame:
            low, high = zip(*(content["interval"][name] for name in content["metrics"]), strict=True)
            table = pd.DataFrame({"value": content["metrics"], "low": dict(zip(content["metrics"], low, strict=True))})
            table["high"] = high
            for name, row in content["baselines"].items():
                if row is not None:
                    table[name] = pd.Series(row)
            return table.rename_axis("metric")

        return Answer(content, frame, {"kind": "bar", "y": "value"})

    def gap(
        self, stage: str | None = None, *, correction: str = "none", seed: int = 0, slice_: str | None = None
    ) -> Answer:
        """How far apart the modalities are, at one stage; of the items of one `slice_` (`field=value`) or of all."""
        from .alignment.stages import gap

        content = gap(self.workspace, self.name, stage, correction=correction, seed=seed, slice_=slice_)

        def frame() -> pd.DataFrame:
            rows = {
                pair: {k: v.get("value", v.get("mean")) if isinstance(v, dict) else v for k, v in figures.items()}
                for pair, figures in content["pairs"].items()
            }
            return pd.DataFrame.from_dict(rows, orient="index").rename_axis("pair")

        return Answer(content, frame)

    def map(self, stages: str | Sequence[str] | None = None, *, method: str = "umap", seed: int = 0) -> Answer:
        """Coordinates of all modalities on one joint map of the run's stages: those named, else the first two."""
        from .alignment.map_export import map_table
        from .alignment.map_store import MapRequest
        from .alignment.stages import map_answer

        names = [stages] if isinstance(stages, str) else list(stages or ())
        request = MapRequest(method=method, seed=seed)
        content, layout, dataset = map_answer(self.workspace, self.name, names, request=request)
        picture = {"kind": "scatter", "x": "x", "y": "y", "color": "channel", "facet_col": "stage"}
        return Answer(content, lambda: map_table(layout, dataset.item_ids).to_pandas(), picture)

    def frontier(self, person: str | None = None, *, target_recall: float = 0.95) -> Answer:
        """Recall, attention mass, bytes and latency of every specification on this run."""
        from .search.budget import frontier

        content = frontier(self.workspace, self.name, person=person, target_recall=target_recall, study=self.study)
        picture = {"kind": "scatter", "x": "bytes_per_event", "y": "recall", "color": "stage", "hover_name": "spec"}
        return Answer(content, lambda: pd.DataFrame(content["rows"]), picture)


@dataclass(frozen=True)
class Lives:
    """A data set of a workspace.

    Fields:
        workspace: where it is.
        dataset: the data set itself, for everything that is not here.
    """

    workspace: Workspace
    dataset: Dataset

    def __repr__(self) -> str:
        return repr(self.dataset)

    def run(self, name: str) -> Run:
        """A trained run of this data set.

        Raises:
            UnknownRunError: no such run, or one of another data set.
        """
        from .training.run_files import check_run_of

        check_run_of(self.workspace, name, self.dataset.name)
        return Run(self.workspace, name)

    def runs(self) -> pd.DataFrame:
        """The runs of this data set."""
        from .training.run_files import list_runs

        rows = [row for row in list_runs(self.workspace)["runs"] if row.get("dataset") == self.dataset.name]
        return pd.DataFrame(rows)

    def people(self, query: str | None = None, *, sort: str = "length", limit: int = 50) -> pd.DataFrame:
        """People, the longest lives first.

        >>> ds.people(limit=2)[["person", "events"]].shape
        (2, 2)
        """
        from .lives.people import find_people

        return pd.DataFrame(find_people(self.dataset, query, sort=sort, limit=limit))

    def life(self, person: str) -> pd.DataFrame:
        """Every event of a person, oldest first.

        Raises:
            UnknownPersonError: no such person; the message names near ones.
        """
        import numpy as np

        from .lives.lifeline import event_table

        life = self.dataset.store.life(self.dataset.person_row(person))
        return event_table(self.dataset, life, np.arange(len(life)))

    def pretrain(self, run: str, *, overwrite: bool = False, progress: Progress = silent, **settings: Any) -> Run:
        """Train a Pretraining Search Unit; `settings` as `--set` names them."""
        from .training.pretrain import pretrain
        from .training.recipe import PretrainConfig
        from .training.session import Orders
        from .training.settings import by_full_name, with_values

        given = by_full_name(PretrainConfig(), settings)
        orders = Orders(overwrite=overwrite, progress=progress, given=frozenset(given))
        pretrain(self.workspace, self.dataset.name, run, config=with_values(PretrainConfig(), given), orders=orders)
        return Run(self.workspace, run)

    def train(
        self,
        run: str,
        *,
        model: str = "seminar",
        parent: str | None = None,
        overwrite: bool = False,
        progress: Progress = silent,
        **settings: Any,
    ) -> Run:
        """Train a ranker, restored from the pretrained run `parent` or from scratch; `settings` as `--set` names them.

        Raises:
            UnknownNameError: no such model.
            ExistsError: the run exists and `overwrite` is false.
        """
        from .training.finetune import finetune
        from .training.recipe import FinetuneConfig
        from .training.session import Orders
        from .training.settings import by_full_name, with_values

        given = by_full_name(FinetuneConfig(), settings)
        finetune(
            self.workspace,
            self.dataset.name,
            run,
            model=model,
            parent=parent,
            config=with_values(FinetuneConfig(), given),
            orders=Orders(overwrite=overwrite, progress=progress, given=frozenset(given)),
        )
        return Run(self.workspace, run)


def open(name: str = "sample", workspace: str | Path | None = None) -> Lives:
    """Open a data set.

    Args:
        name: as `datasets` lists it; the bundled `sample` is imported when it is opened first.
        workspace: where everything is kept; else $SEMINAR_WORKSPACE, else ./workspace.

    Raises:
        UnknownDatasetError: no such data set; the message lists the known ones.

    >>> import seminar_core as sc
    >>> sample = sc.open("sample")
    >>> sample.dataset.n_people
    400
    >>> run = sample.run("sample-seminar")
    >>> len(run.retrieve("p0302", "i00878", k=10).frame()) >= 10
    True
    """
    where = default_workspace(workspace)
    return Lives(where, open_dataset(where, name))


def datasets(workspace: str | Path | None = None) -> list[str]:
    """Names of the data sets of a workspace."""
    return known_datasets(default_workspace(workspace))
