"""Vectors are known by the content of the weights that made them, not by where those lie or when they were copied."""

import os
import shutil

from seminar_core.encoders.pretrained import weights_fingerprint


def test_a_copy_elsewhere_is_the_same_and_a_changed_byte_is_not(tmp_path):
    (tmp_path / "a").mkdir()
    weights = tmp_path / "a" / "model.safetensors"
    weights.write_bytes(b"weights")
    first = weights_fingerprint(str(tmp_path / "a"))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    os.utime(tmp_path / "b" / "model.safetensors", (1, 1))
    assert weights_fingerprint(str(tmp_path / "b")) == first
    (tmp_path / "b" / "model.safetensors").write_bytes(b"Weights")
    assert weights_fingerprint(str(tmp_path / "b")) != first
