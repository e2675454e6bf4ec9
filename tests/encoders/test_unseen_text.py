"""A text that the data set does not hold is encoded into the same space as those it holds."""

from __future__ import annotations

import numpy as np
import pytest

from seminar_core.encoders import load_encodings
from seminar_core.encoders.registry import find_encoder
from seminar_core.progress import silent
from tests.tiny import make_dataset


@pytest.mark.parametrize("name", ["tfidf-svd-256", "hashing-256"])
def test_a_known_query_gets_the_vector_it_has(workspace, name):
    dataset = make_dataset(workspace, people=6)
    stored = load_encodings(dataset, text=name).text_queries
    encode = find_encoder("text", name).make().unseen(dataset, silent)
    assert np.allclose(encode(dataset.query_texts[1:]), stored[1:], atol=1e-5)
    new = encode(["purple kettle by nobody"])[0]
    assert np.isclose(np.linalg.norm(new), 1, atol=1e-5)
