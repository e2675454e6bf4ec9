"""The joint map: PCA and UMAP, stages rotated onto each other, trustworthiness, sampling, keeping, exporting."""

from __future__ import annotations

import io
import math
import threading
import zipfile

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness as sklearn_trustworthiness

from seminar_core.alignment import map_export, map_store, projection
from seminar_core.alignment.channel_set import ChannelSet, from_channel_vectors, mean_query_vectors
from seminar_core.alignment.neighbours import point_neighbours
from seminar_core.contracts import ChannelVectors
from seminar_core.errors import Cancelled, CorruptFileError, EmptyDataError, ExistsError, StaleError, UnknownNameError

N, D = 60, 8


def channel_set(seed: int = 0, n: int = N, noise: float = 0.3) -> ChannelSet:
    rng = np.random.default_rng(seed)
    base = np.repeat(np.eye(D, dtype=np.float32)[:4], -(-n // 4), axis=0)[:n] + 0.2 * rng.standard_normal((n, D))
    vectors = {name: (base + noise * rng.standard_normal((n, D))).astype(np.float32) for name in "QATI"}
    present = {name: np.ones(n, bool) for name in "QAT"} | {"I": np.arange(n) % 5 > 0}
    return ChannelSet(np.arange(1, n + 1, dtype=np.int32), vectors, present)


@pytest.fixture(scope="module")
def layout() -> projection.Layout:
    return projection.lay_out(projection.joint_points({"before": channel_set(1), "after": channel_set(2)}))


def test_pca_equals_scikit_learn_up_to_the_fixed_sign():
    x = np.random.default_rng(0).standard_normal((100, D)).astype(np.float32) * np.arange(1, D + 1)
    ours, theirs = projection.pca_layout(x), PCA(2, svd_solver="full").fit_transform(x)
    for axis in range(2):
        assert min(np.abs(ours[:, axis] - s * theirs[:, axis]).max() for s in (1, -1)) < 1e-3


def test_trustworthiness_equals_scikit_learn_on_a_thousand_points():
    rng = np.random.default_rng(3)
    x, xy = rng.standard_normal((1000, D)).astype(np.float32), rng.standard_normal((1000, 2)).astype(np.float32)
    xy[:, 0] += x[:, 0] * 3
    value, judged = projection.trustworthiness(x, xy, k=12)
    assert judged == 1000
    assert value == pytest.approx(sklearn_trustworthiness(x, xy, n_neighbors=12), abs=1e-9)


def test_trustworthiness_of_a_sample_of_anchors_is_near_the_full_value():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((800, D)).astype(np.float32)
    full = projection.trustworthiness(x, x[:, :2])[0]
    assert projection.trustworthiness(x, x[:, :2], anchors=200)[0] == pytest.approx(full, abs=0.02)
    assert projection.trustworthiness(x, x[:, :2], anchors=200)[1] == 200


def test_an_earlier_stage_that_is_only_rotated_lands_on_the_later_one():
    after = channel_set(5)
    turn = np.linalg.qr(np.random.default_rng(6).standard_normal((D, D)))[0].astype(np.float32)
    before = ChannelSet(after.rows, {k: v @ turn for k, v in after.vectors.items()}, after.present)
    points = projection.joint_points({"before": before, "after": after})
    half = len(points) // 2
    assert np.allclose(points.vectors[:half], points.vectors[half:], atol=1e-4)
    assert np.array_equal(points.item[:half], points.item[half:])


def test_each_present_channel_of_each_stage_is_one_point(layout):
    points = layout.points
    assert len(points) == points.of == 2 * (3 * N + 48)
    assert set(map_store.channel_names(points)) == set("QATI") and points.stages == ("before", "after")
    assert layout.xy.shape == (len(points), 2) and np.isfinite(layout.xy).all() and layout.fitted.all()
    assert layout.facts["trustworthiness"] > 0.7 and layout.facts["trustworthiness_n"] == len(points)


def test_umap_is_the_same_to_the_bit_for_one_seed_and_reports_progress(layout):
    seen: list[tuple[int, int]] = []
    again = projection.lay_out(layout.points, progress=lambda done, total, message: seen.append((done, total)))
    assert np.array_equal(again.xy, layout.xy)
    assert seen[0] == (0, 200) and seen[-1] == (200, 200)


def test_umap_can_be_cancelled_between_epochs(layout):
    def stop(done: int, total: int, message: str) -> None:
        if "epochs" in message:
            raise Cancelled("stopped by the reader", hint="start again")

    with pytest.raises(Cancelled):
        projection.lay_out(layout.points, progress=stop)


def test_a_map_after_a_cancelled_one_is_drawn_by_another_thread(layout):
    """The lock of the progress bar used to stay with the thread that was cancelled."""

    def stop(done: int, total: int, message: str) -> None:
        if "epochs" in message:
            raise Cancelled("stopped", hint="draw it again")

    with pytest.raises(Cancelled):
        projection.umap_layout(layout.points.vectors, progress=stop)
    again = threading.Thread(target=projection.umap_layout, args=(layout.points.vectors,), daemon=True)
    again.start()
    again.join(timeout=120)
    assert not again.is_alive()


def test_items_beyond_the_limit_are_placed_beside_their_neighbours():
    points = projection.joint_points({"after": channel_set(7, n=200)})
    layout = projection.lay_out(points, fit_limit=500)
    assert layout.facts["fitted"] <= 500 < layout.facts["points"] == layout.facts["of"]
    fitted_items = set(points.item[layout.fitted])
    assert not fitted_items & set(points.item[~layout.fitted])
    assert layout.facts["trustworthiness"] > 0.7


def test_a_copy_of_a_fitted_point_is_placed_upon_it():
    points = projection.joint_points({"after": channel_set(8)})
    xy = projection.pca_layout(points.vectors)
    assert np.allclose(projection.place(points.vectors[:5], points.vectors, xy), xy[:5], atol=1e-2)


def test_what_is_not_shown_is_said():
    points = projection.joint_points({"after": channel_set(9, n=400)}, show_limit=300)
    assert len(points) <= 300 and points.of == 3 * 400 + 320


def test_too_few_points_and_equal_vectors_are_named_errors():
    with pytest.raises(EmptyDataError, match="12 points are too few for UMAP"):
        projection.umap_layout(np.eye(12, dtype=np.float32))
    with pytest.raises(EmptyDataError, match="all 30 vectors are equal"):
        projection.umap_layout(np.ones((30, 4), np.float32))
    with pytest.raises(UnknownNameError, match="pca, umap"):
        projection.lay_out(projection.joint_points({"after": channel_set()}), method="tsne")


def test_a_map_is_kept_and_read_back_and_another_seed_is_another_map(workspace):
    stages, request = {"after": channel_set(10)}, map_store.MapRequest(method="pca")
    assert map_store.kept_map(workspace, stages, request) is None
    key, first = map_store.drawn_map(workspace, stages, request, source={"run": "a"})
    again_key, again = map_store.drawn_map(workspace, stages, request, source={"run": "a"})
    assert key == again_key and np.array_equal(first.xy, again.xy) and dict(first.facts) == dict(again.facts)
    assert map_store.map_key(stages, map_store.MapRequest(method="pca", seed=1)) != key
    assert [entry["key"] for entry in map_store.list_maps(workspace)] == [key]
    assert np.array_equal(map_store.kept_map(workspace, stages, request).xy, first.xy)


def test_all_stages_together_fit_no_more_points_than_two_would(workspace, monkeypatch):
    monkeypatch.setattr(map_store, "FIT_LIMIT", 300)
    monkeypatch.setattr(map_store, "MOST_FITTED", 600)
    stages, request = {name: channel_set(10, n=150) for name in "abc"}, map_store.MapRequest()
    assert [request.of(n).fit_limit for n in (1, 2, 3)] == [300, 300, 200]
    key, layout = map_store.drawn_map(workspace, stages, request, source={})
    assert 500 < layout.fitted.sum() <= 600 < len(layout.points)
    kept = map_store.list_maps(workspace)[0]
    assert (kept["fit_limit"], kept["show_limit"]) == (200, map_store.SHOW_LIMIT)
    assert key == map_store.map_key(stages, map_store.MapRequest(fit_limit=200))
    assert map_store.kept_map(workspace, stages, request).facts == layout.facts


def test_a_cancelled_map_leaves_nothing_behind(workspace):
    def stop(done: int, total: int, message: str) -> None:
        raise Cancelled("stopped", hint="start again")

    with pytest.raises(Cancelled):
        map_store.drawn_map(workspace, {"a": channel_set()}, map_store.MapRequest(), source={}, progress=stop)
    assert not workspace.maps.exists() or not list(workspace.maps.iterdir())


def test_a_stale_and_a_broken_map_are_named_errors(workspace):
    request = map_store.MapRequest(method="pca")
    key, _ = map_store.drawn_map(workspace, {"a": channel_set(11)}, request, source={})
    map_store.check_fresh(workspace, key, {"a": channel_set(11)}, request)
    with pytest.raises(StaleError, match="other vectors"):
        map_store.check_fresh(workspace, key, {"a": channel_set(12)}, request)
    with pytest.raises(UnknownNameError, match=key):
        map_store.check_fresh(workspace, "nothing", {"a": channel_set(12)}, request)
    (workspace.maps / key / "points.parquet").write_bytes(b"no parquet")
    with pytest.raises(CorruptFileError, match="cannot be read"):
        map_store.kept_map(workspace, {"a": channel_set(11)}, request)


def test_the_table_has_the_documented_columns_and_survives_a_round_trip(layout, tmp_path):
    ids = [""] + [f"item-{row}" for row in range(1, N + 1)]
    map_export.write_table(map_export.map_table(layout, ids), tmp_path / "deep" / "map.parquet")
    table = pq.read_table(tmp_path / "deep" / "map.parquet")
    assert table.column_names == ["item", "channel", "stage", "x", "y"]
    assert table["item"][0].as_py() == "item-1" and set(table["stage"].to_pylist()) == {"before", "after"}
    assert np.array_equal(np.stack([table["x"], table["y"]], axis=1), layout.xy)


def test_embedding_atlas_gets_neighbours_as_rows_and_distances(layout):
    ids = [""] + [f"i{row}" for row in range(1, N + 1)]
    table = map_export.embedding_atlas_table(layout, ids, ids)
    first = table["neighbors"][0].as_py()
    assert len(first["ids"]) == len(first["distances"]) == 15
    assert first["distances"] == sorted(first["distances"]) and 0 not in first["ids"]


def test_the_projector_folder_has_matching_rows_and_a_sprite(layout, tmp_path):
    ids = [""] + [f"i{row}" for row in range(1, N + 1)]
    titles = [None] + ["a\ttitle\nin two lines"] * N
    map_export.write_projector(layout, ids, titles, lambda row: None, tmp_path / "projector", thumbnail=8)
    vectors = np.loadtxt(tmp_path / "projector" / "vectors.tsv", delimiter="\t")
    lines = (tmp_path / "projector" / "metadata.tsv").read_text(encoding="utf-8").splitlines()
    assert vectors.shape == layout.points.vectors.shape and len(lines) == len(vectors) + 1
    assert lines[1] == "i1\ta title in two lines\tquery\tbefore"
    assert Image.open(tmp_path / "projector" / "sprite.png").size == (8 * 22, 8 * 22)
    assert "single_image_dim: 8" in (tmp_path / "projector" / "projector_config.pbtxt").read_text()


def test_an_export_never_replaces_what_is_not_its_own(layout, tmp_path):
    ids = [""] + [f"i{row}" for row in range(1, N + 1)]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(ExistsError, match="would be replaced"):
        map_export.write_projector(layout, ids, ids, lambda row: None, mine, thumbnail=8)
    with pytest.raises(ExistsError, match="is a directory"):
        map_export.write_table(map_export.map_table(layout, ids), mine)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert (mine / "thesis.txt").read_text() == "years of work"
    for _ in range(2):
        map_export.write_projector(layout, ids, ids, lambda row: None, tmp_path / "projector", thumbnail=8)
    assert (tmp_path / "projector" / "vectors.tsv").is_file()


def test_the_exports_as_bytes_are_the_table_and_the_folder(layout):
    ids = [""] + [f"i{row}" for row in range(1, N + 1)]
    titles = [None] + [f"title {row}" for row in range(1, N + 1)]
    table = pq.read_table(io.BytesIO(map_export.embedding_atlas_file(layout, ids, titles)))
    assert table.equals(map_export.embedding_atlas_table(layout, ids, titles))
    assert table.column_names == ["item", "channel", "stage", "x", "y", "title", "neighbors"]
    red = io.BytesIO()
    Image.new("RGB", (9, 9), "red").save(red, "PNG")
    pictured = int(layout.points.item[0])
    block = map_export.projector_archive(layout, ids, titles, lambda row: red.getvalue() if row == pictured else None)
    with zipfile.ZipFile(io.BytesIO(block)) as archive:
        assert archive.getinfo("projector/sprite.png").compress_type == zipfile.ZIP_STORED, "a picture is packed once"
        names = ("metadata.tsv", "projector_config.pbtxt", "sprite.png", "vectors.tsv")
        assert archive.namelist() == [f"projector/{name}" for name in names] and archive.testzip() is None
        vectors = np.loadtxt(io.BytesIO(archive.read("projector/vectors.tsv")), delimiter="\t")
        assert np.allclose(vectors, layout.points.vectors, atol=1e-5)
        lines = archive.read("projector/metadata.tsv").decode().splitlines()[1:]
        assert [line.split("\t")[0] for line in lines] == [ids[row] for row in layout.points.item]
        sprite = Image.open(io.BytesIO(archive.read("projector/sprite.png")))
    tile = sprite.width // math.ceil(math.sqrt(len(layout.points)))
    assert sprite.getpixel((tile // 2, tile // 2)) == (255, 0, 0)  # the first point's picture is the first tile
    assert sprite.getpixel((tile + tile // 2, tile // 2)) == (221, 221, 221)  # the second item has none


def test_neighbours_that_only_the_drawing_shows_are_marked():
    vectors = np.eye(6, dtype=np.float32)[:, :6]
    vectors[1] = [0.9, np.sqrt(1 - 0.81), 0, 0, 0, 0]
    positions = np.array([[0, 0], [9, 9], [0.1, 0], [5, 5], [6, 6], [7, 7]], np.float32)
    found = point_neighbours(0, vectors, positions, k=1)
    assert found.true.tolist() == [1] and found.drawn.tolist() == [2]
    assert found.false.tolist() == [True] and found.missed.tolist() == [True]


def test_an_items_query_vector_is_the_mean_over_its_distinct_queries():
    query = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float32)
    vectors = ChannelVectors(
        np.zeros((4, 3, 2), np.float32), np.zeros((4, 3), bool), query, np.array([False, True, True, True])
    )
    item, asked = np.array([1, 1, 1, 2, 3, 0]), np.array([1, 1, 2, 3, 0, 1])
    means, present = mean_query_vectors(vectors, item, asked)
    assert means[1:].tolist() == [[0.5, 0.5], [1, 1], [0, 0]]
    assert present.tolist() == [False, True, True, False]
    assert from_channel_vectors(vectors, item, asked).names == ("Q", "A", "T", "I")
