"""The station Training: what is started runs outside the page, and every state offers what can be done in it."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from app.stations.training import figures
from seminar_core.beside import sample_directory
from seminar_core.data.opening import open_dataset
from seminar_core.files import append_line, write_json
from seminar_core.jobs import control as jobs
from seminar_core.jobs import engines, warmup
from seminar_core.jobs.state import JobStatus, write_status
from seminar_core.training.curves import Curves
from seminar_core.training.run_files import current_hash
from seminar_core.workspace import Workspace
from tests.studies.test_comparison import PEOPLE
from tests.studies.test_comparison import make as make_measured

ROOT = Path(__file__).resolve().parents[2]
DOUBLE = ROOT / "tests" / "jobs" / "job_double.py"


@pytest.fixture
def served(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A workspace that jobs of a double train in, beside a sample without its run: all runs are the test's own."""
    sample = tmp_path / "sample_data"
    sample.mkdir()
    for path in sample_directory().iterdir():
        if path.name != "run":
            (sample / path.name).symlink_to(path)
    monkeypatch.setenv("SEMINAR_SAMPLE_DIR", str(sample))
    monkeypatch.setenv("SEMINAR_WORKSPACE", str(workspace.root))
    monkeypatch.setattr(engines, "runner_command", lambda job_dir: [sys.executable, str(DOUBLE), str(job_dir), "2"])
    yield workspace
    for row in jobs.rows(workspace):
        if row["state"] in ("queued", "running"):
            jobs.cancel(workspace, row["job"])


def page(**query: str) -> AppTest:
    def script() -> None:
        from app import state, widgets
        from app.stations.training import view as training

        state.begin()
        with widgets.explained("page"):
            training.render()
        state.finish()

    test = AppTest.from_function(script, default_timeout=30)
    for name, value in query.items():
        test.query_params[name] = value
    return test.run()


def wait_for(what: Callable[[], bool], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def words(run: str = "r", **told: object) -> list[str]:
    options = [word for key, value in told.items() for word in ("--set", f"{key}={value}")]
    return ["pretrain", "--dataset", "sample", "--run", run, *options]


def buttons(test: AppTest) -> set[str]:
    return {button.key for button in test.button if button.key}


def make_run(
    workspace: Workspace, name: str, *, kind: str = "ranker", model: str = "seminar", **config: object
) -> None:
    directory = workspace.run_dir(name)
    write_json(
        directory / "run.json",
        {
            "name": name, "kind": kind, "model": model, "dataset": "sample", "dataset_hash": "h", "encodings": {},
            "config": {"batches": {"negatives": 20, **config}}, "seed": 0, "parent": None,
        },
    )  # fmt: skip
    write_json(directory / "status.json", {"state": "done", "steps": 10, "best_step": 5})
    for step in range(0, 11, 5):
        append_line(directory / "metrics.jsonl", {"step": step, "time_s": step / 10, "loss/total": 3 - step / 10})
        append_line(directory / "metrics.jsonl", {"step": step, "time_s": step / 10, "validation/MRR": 0.1 + step / 50})


def test_an_empty_station_offers_the_first_training(served: Workspace):
    test = page()
    assert not test.exception and "No training has been started yet" in test.info[0].value
    test.button[0].click().run()
    assert test.query_params["part"] == "start"


def test_the_form_starts_a_job_outside_the_page(served: Workspace):
    test = page(part="start")
    assert not test.exception
    assert any(
        "python -m seminar_core jobs start pretrain --dataset sample --run pretrain-1" in c.value for c in test.code
    )
    test.button(key="start_now").click().run()
    assert not test.exception
    (row,) = jobs.rows(served)
    assert row["run"] == "pretrain-1" and test.query_params["job"] == row["job"]
    wait_for(lambda: jobs.rows(served)[0]["state"] == "done")


def test_the_form_starts_several_processes_and_says_so_on_the_command_line(served: Workspace):
    test = page(part="start")
    test.number_input(key="start_processes").set_value(2).run()
    assert any("--processes 2" in code.value for code in test.code)
    assert not any(box.key == "start_nodes" for box in test.number_input)
    test.selectbox(key="start_engine").set_value("slurm").run()
    test.number_input(key="start_nodes").set_value(2).run()
    assert any("--engine slurm --processes 2 --nodes 2" in code.value for code in test.code)


def test_a_warm_up_that_was_stopped_or_tidied_away_can_be_measured_again(served: Workspace):
    test = page(part="start")
    test.button(key="measure").click().run()
    inner = warmup.scratch(served)
    (job,) = jobs.job_names(inner)
    wait_for(lambda: warmup.row(served, job)["state"] == "done")
    test.run()
    assert "ended after 0 of 26 steps" in test.error[0].value  # the double measures nothing
    assert test.button(key="measure").label == "Measure again"
    jobs.delete(inner, job)
    test.run()
    assert not test.error and test.button(key="measure").label == "Measure time and memory first"
    test.button(key="measure").click().run()
    assert jobs.job_names(inner) == ["pretrain-0002"]
    wait_for(lambda: warmup.row(served, "pretrain-0002")["state"] == "done")
    write_status(inner.job_dir("pretrain-0002"), JobStatus(state="stopped"))
    test.run()
    assert test.warning[0].value == "The warm-up was stopped." and test.button(key="measure").label == "Measure again"


def test_the_form_says_what_is_missing(served: Workspace):
    test = page(part="start", recipe="finetune")
    assert any("starts from a pretrained run and none is chosen" in e.value.replace("\\", "") for e in test.error)
    assert "start_now" not in buttons(test)


def test_a_pretraining_of_older_data_is_not_offered_to_start_from(served: Workspace):
    make_run(served, "old", kind="psu")  # of the hash `h`
    make_run(served, "fresh", kind="psu")
    card = json.loads((served.run_dir("fresh") / "run.json").read_text())
    open_dataset(served, "sample")
    card["dataset_hash"] = current_hash(served, "sample")
    write_json(served.run_dir("fresh") / "run.json", card)
    assert page(part="start", recipe="finetune").selectbox(key="start_parent").options == ["fresh"]


def test_a_running_job_shows_percent_and_can_be_cancelled_and_resumed(served: Workspace):
    job = jobs.start(served, words(steps=400, pause=0.05))["job"]
    wait_for(lambda: jobs.show(served, job)["step"] >= 2)
    test = page(job=job)
    assert not test.exception and f"cancel_{job}" in buttons(test) and f"resume_{job}" not in buttons(test)
    assert "running" in test.subheader[0].value
    test.button(key=f"cancel_{job}").click().run()
    wait_for(lambda: jobs.show(served, job)["state"] == "stopped")
    test.run()
    assert f"resume_{job}" in buttons(test) and f"cancel_{job}" not in buttons(test)
    test.button(key=f"resume_{job}").click().run()
    wait_for(lambda: jobs.show(served, job)["attempt"] == 2)
    assert any(metric.label.endswith("(attempt 2)") for metric in page(job=job).metric)


def test_a_click_is_never_taken_for_another_job(served: Workspace):
    mine = jobs.start(served, words("mine", steps=400, pause=0.05))["job"]
    test = page()  # of the newest, whichever it is
    assert "mine" in test.subheader[0].value
    other = jobs.start(served, words("other", steps=400, pause=0.05))["job"]
    test.button(key=f"cancel_{mine}").click().run()
    assert "other" in test.subheader[0].value
    assert {row["job"]: row["state"] in ("queued", "running") for row in jobs.rows(served)}[other]


def test_a_refreshed_page_sees_the_job_go_on(served: Workspace):
    job = jobs.start(served, words(steps=400, pause=0.05))["job"]
    wait_for(lambda: jobs.show(served, job)["step"] >= 2)
    before = jobs.show(served, job)["step"]
    page(job=job)
    wait_for(lambda: jobs.show(served, job)["step"] > before)
    assert "running" in page(job=job).subheader[0].value


def test_a_failed_job_shows_its_reason_and_next_step(served: Workspace):
    job = jobs.start(served, words(mode="memory"))["job"]
    wait_for(lambda: jobs.show(served, job)["state"] == "failed")
    test = page(job=job)
    assert any("no room for the batch" in e.value and "half the batch" in e.value for e in test.error)
    assert test.button(key=f"smaller_{job}").label == "Resume with 8 lives a step"


@pytest.mark.parametrize(
    "line",
    [["reproduce", "--dataset", "sample", "--out", "docs/results"], ["import", "table", "there", "--name", "a"]],
)
def test_a_job_of_no_run_shows_its_log_and_no_curves(served: Workspace, line: list[str]):
    make_run(served, "a")
    jobs.start(served, line)
    wait_for(lambda: jobs.rows(served)[0]["state"] in ("done", "failed"))
    test = page()
    assert not test.exception
    assert any("jobs start" in code.value for code in test.code) and len(test.dataframe) == 1
    assert not any("Validation MRR" in caption.value for caption in test.caption)


def test_a_lost_job_is_not_shown_as_running(served: Workspace):
    job = jobs.start(served, words(steps=400, pause=0.05))["job"]
    wait_for(lambda: jobs.show(served, job)["state"] == "running")
    import os
    import signal

    os.kill(jobs.show(served, job)["pid"], signal.SIGKILL)
    wait_for(lambda: jobs.show(served, job)["state"] == "lost")
    test = page(job=job)
    assert "lost" in test.subheader[0].value and f"resume_{job}" in buttons(test)


def test_a_finished_training_leads_to_its_map_and_can_be_repeated(served: Workspace):
    job = jobs.start(served, words(steps=1))["job"]
    wait_for(lambda: jobs.show(served, job)["state"] == "done")
    test = page(job=job)
    assert {"open_map", f"seeds_{job}", f"forget_yes_{job}"} <= buttons(test)
    test.button(key=f"seeds_{job}").click().run()
    assert {row["run"] for row in jobs.rows(served)} == {"r", "r-seed1", "r-seed2", "r-seed3"}
    wait_for(lambda: all(row["state"] == "done" for row in jobs.rows(served)))


def test_a_repeated_training_finds_the_files_that_its_words_name(served: Workspace, tmp_path: Path, monkeypatch):
    (tmp_path / "mine.toml").write_text("seed = 3\n")
    with monkeypatch.context() as elsewhere:
        elsewhere.chdir(tmp_path)
        job = jobs.start(served, [*words(steps=1), "--config", "mine.toml"])["job"]
    wait_for(lambda: jobs.show(served, job)["state"] == "done")
    page(job=job).button(key=f"seeds_{job}").click().run()
    assert {row["folder"] for row in jobs.rows(served)} == {str(tmp_path)} and len(jobs.rows(served)) == 4


def test_best_and_last_are_told_apart(served: Workspace):
    job = jobs.start(served, words(steps=1))["job"]
    wait_for(lambda: jobs.show(served, job)["state"] == "done")
    for step, value in ((0, 0.1), (5, 0.3), (10, 0.2)):
        append_line(served.run_dir("r") / "metrics.jsonl", {"step": step, "time_s": step, "validation/MRR": value})
    said = [caption.value for caption in page(job=job).caption]
    assert any("was best, 0.300, at step 5" in text and "last, 0.200, at step 10" in text for text in said)


def test_a_job_is_forgotten_and_its_run_stays(served: Workspace):
    job = jobs.start(served, words(steps=1))["job"]
    wait_for(lambda: jobs.show(served, job)["state"] == "done")
    page(job=job).button(key=f"forget_yes_{job}").click().run()
    assert jobs.rows(served) == [] and served.run_dir("r").is_dir()


def test_only_what_differs_is_compared(served: Workspace):
    make_run(served, "a")
    make_run(served, "b", negatives=50)
    test = page(part="compare", runs="a,b")
    assert not test.exception
    frames = [frame.value for frame in test.dataframe]
    assert any(
        list(f.columns) == ["setting", "a", "b"] and f["setting"].tolist() == ["batches.negatives"] for f in frames
    )


def test_a_difference_that_would_pair_other_questions_is_not_shown_and_says_why(served: Workspace):
    make_measured(served, "a", np.arange(PEOPLE))
    make_measured(served, "b", np.arange(PEOPLE), split="time")
    make_measured(served, "c", np.arange(PEOPLE))
    test = page(part="compare", runs="a,b")
    said = [caption.value for caption in test.caption]
    assert "compare_metric" not in {box.key for box in test.selectbox}
    assert "compare_metric" in {box.key for box in page(part="compare", runs="a,b,c").selectbox}
    assert "b minus a is not shown: it was asked other questions: split = time, not position" in said


def test_a_baseline_is_compared_with_another_run_and_not_with_itself(served: Workspace):
    make_run(served, "pre", kind="psu")
    job = jobs.start(served, ["finetune", *words("base", steps=1)[1:], "--model", "din"])["job"]
    wait_for(lambda: jobs.show(served, job)["state"] == "done")
    make_run(served, "base", model="din")
    test = page(job=job)
    assert "open_compare" in buttons(test) and "open_r" not in buttons(test)  # DIN has nothing to search with
    test.button(key="open_compare").click().run()
    assert not test.exception and test.query_params["runs"] == "pre,base"
    make_run(served, "other", model="avgpool")
    test = page(job=job)
    test.button(key="open_compare").click().run()
    assert test.query_params["runs"] == "other,base"
    make_run(served, "base", model="seminar")
    assert "open_r" in buttons(page(job=job))


def test_a_link_that_names_a_run_twice_compares_it_once(served: Workspace):
    make_run(served, "a")
    test = page(part="compare", runs="a,a")
    assert not test.exception and not test.error


def test_the_form_refuses_the_name_of_a_run_that_exists(served: Workspace):
    make_run(served, "mine")
    test = page(part="start")
    next(field for field in test.text_input if field.label == "Name of the run").set_value("mine").run()
    test.button(key="start_now").click().run()
    assert any("run 'mine' exists already" in error.value.replace("\\", "") for error in test.error)
    assert jobs.rows(served) == []


def test_runs_are_evaluated_by_jobs_that_show_how_far_they_are_and_can_be_cancelled(served: Workspace):
    make_run(served, "a")
    make_run(served, "b")
    test = page(part="compare", runs="a,b")
    test.button(key="evaluate_missing").click().run()
    assert not test.exception
    assert [row["words"] for row in jobs.rows(served)] == [["evaluate", "--run", "a"], ["evaluate", "--run", "b"]]
    wait_for(lambda: jobs.rows(served)[0]["step"] > 0 and "waiting for" in jobs.rows(served)[1]["message"])
    again = page(part="compare", runs="a,b")
    assert "evaluate_missing" not in buttons(again)
    said = [bar.proto.text for bar in again.get("progress")]
    assert said[0].startswith("Evaluating a: running, asking people") and "waiting for" in said[1]
    again.button(key="evaluate_cancel").click().run()
    wait_for(lambda: [row["state"] for row in jobs.rows(served)] == ["stopped", "stopped"])
    assert "evaluate_missing" in buttons(page(part="compare", runs="a,b"))


def test_a_run_is_evaluated_while_another_job_reads_it(served: Workspace):
    make_run(served, "a")
    make_run(served, "b")
    jobs.start(served, words("busy", steps=1000, pause=0.05))
    jobs.start(served, ["codebooks", "--run", "a"])
    test = page(part="compare", runs="a,b")
    test.button(key="evaluate_missing").click().run()
    assert not test.exception and not test.error
    assert [row["run"] for row in jobs.rows(served) if row["command"] == "evaluate"] == ["a", "b"]


def test_an_evaluation_that_failed_says_why(served: Workspace, monkeypatch: pytest.MonkeyPatch):
    make_run(served, "a")
    make_run(served, "b")
    runner = "seminar_core.cli.job_runner"
    monkeypatch.setattr(engines, "runner_command", lambda job_dir: [sys.executable, "-m", runner, str(job_dir)])
    job = jobs.start(served, ["evaluate", "--run", "b"])["job"]
    wait_for(lambda: jobs.show(served, job)["state"] == "failed", 60)
    test = page(part="compare", runs="a,b")
    assert "The evaluation of b is failed" in test.error[0].value and "**Next:**" in test.error[0].value


def test_notes_and_tags_stay(served: Workspace):
    make_run(served, "a")
    test = page(part="compare", runs="a")
    test.text_area(key="text_a").input("the good one").run()
    assert json.loads((served.run_dir("a") / "note.json").read_text())["text"] == "the good one"
    assert page(part="compare", runs="a").text_area(key="text_a").value == "the good one"


def test_an_open_page_never_writes_its_old_note_over_another_sessions(served: Workspace):
    make_run(served, "a")
    mine, other = page(part="compare", runs="a"), page(part="compare", runs="a")
    other.text_area(key="text_a").input("theirs").run()
    other.multiselect(key="tags_a").set_value(["keep"]).run()
    other.toggle(key="archived_a").set_value(True).run()
    assert any(caption.value == "Saved." for caption in other.caption)
    mine.toggle(key="show_archived").set_value(True).run()
    stored = json.loads((served.run_dir("a") / "note.json").read_text())
    assert stored == {"text": "theirs", "tags": ["keep"], "archived": True, "name": ""}
    assert not any(caption.value == "Saved." for caption in mine.caption)
    assert mine.text_area(key="text_a").value == "theirs" and mine.toggle(key="archived_a").value is True
    assert mine.multiselect(key="tags_a").value == ["keep"]


def test_a_changed_field_keeps_the_other_fields_that_are_newer(served: Workspace):
    make_run(served, "a")
    mine, other = page(part="compare", runs="a"), page(part="compare", runs="a")
    other.text_area(key="text_a").input("theirs").run()
    mine.text_input(key="name_a").input(" the good one ").run()
    stored = json.loads((served.run_dir("a") / "note.json").read_text())
    assert (stored["text"], stored["name"]) == ("theirs", "the good one")
    assert any(caption.value == "Saved." for caption in mine.caption)
    assert mine.text_area(key="text_a").value == "theirs" and mine.text_input(key="name_a").value == "the good one"
    mine.text_area(key="text_a").input("").run()
    assert json.loads((served.run_dir("a") / "note.json").read_text())["text"] == ""


def test_a_viewers_note_is_refused_with_the_reason_and_stays_in_the_field(served: Workspace, monkeypatch):
    make_run(served, "a")
    test = page(part="compare", runs="a")
    monkeypatch.setenv("SEMINAR_READ_ONLY", "1")
    test.text_area(key="text_a").input("mine").run()
    assert "only an operator may" in test.error[0].value and not (served.run_dir("a") / "note.json").exists()
    test.toggle(key="show_archived").set_value(True).run()
    assert test.text_area(key="text_a").value == "mine" and len(test.error) == 1
    test.text_area(key="text_a").input("").run()  # back to what is stored: nothing is left to be refused
    assert not test.error


def test_old_checkpoints_are_pruned_after_a_question(served: Workspace):
    make_run(served, "a")
    for name in ("step-000000", "step-000005", "step-000010", "best", "last"):
        (served.run_dir("a") / "checkpoints" / name).mkdir(parents=True)
    test = page(part="compare", runs="a")
    test.button(key="prune_yes_a").click().run()
    assert any("2 checkpoints were deleted" in caption.value for caption in test.caption)
    kept = {path.name for path in (served.run_dir("a") / "checkpoints").iterdir()}
    assert kept == {"step-000000", "best", "last"}
    test.button(key="prune_yes_a").click().run()
    assert "has no checkpoints beside" in test.error[0].value


def test_a_run_is_deleted_after_a_question(served: Workspace):
    make_run(served, "a")
    make_run(served, "b")
    test = page(part="compare", runs="a,b")
    test.button(key="delete_yes_a").click().run()
    assert not served.run_dir("a").exists() and served.run_dir("b").exists()


def test_an_empty_workspace_has_nothing_to_compare(served: Workspace):
    shutil.rmtree(served.root, ignore_errors=True)
    assert "There is no run yet" in page(part="compare").info[0].value


def test_figures_name_their_curve_and_its_units(served: Workspace):
    make_run(served, "a")
    curves = Curves(served.run_dir("a") / "metrics.jsonl")
    curves.update()
    figure = figures.curve(curves.series("validation/MRR"), "validation/MRR", "time_s", best=1.0)
    assert figure.layout.xaxis.title.text == "seconds of training" and figure.layout.title.text == "validation: MRR"
    assert len(figure.data[0].x) == 3 and len(figure.layout.shapes) == 1
    assert not figures.curve(curves.series("none"), "none").data and not figures.overlay({}, "loss/total").data


def test_the_title_of_the_differences_fits_a_narrow_page():
    table = pd.DataFrame({"run": ["b"], "difference": [0.1], "low": [0.0], "high": [0.2]})
    title = figures.differences(table, "NDCG@10").layout.xaxis.title.text
    assert "95 % interval" in title and len(title) <= 42  # 300 px of a page of 390
