"""Text encoders that need no weights: TF-IDF with truncated SVD, and feature hashing.

Encoders. One space for items (title and description) and queries, so that a query can be compared with an item. Words
and character n-grams within words are both counted: queries are short, misspelt and inflected. Latent semantic analysis
(Deerwester et al. 1990) on at most `FITTED_DOCUMENTS` documents; rows have length one. scikit-learn is imported where
it is used: that takes a second, and most commands only read what was encoded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sparse

from ..data.dataset import Dataset
from ..progress import Progress
from .encoded import Encoded, scattered

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer

FITTED_DOCUMENTS = 30_000
RARE_FROM = 500
MOST_FEATURES = {"word": 20_000, "char_wb": 30_000}
NGRAMS = {"word": (1, 2), "char_wb": (3, 4)}
POWER_ITERATIONS = 2
CHUNK = 20_000
TEXT_SEED = 0

TextFunction = Callable[[list[str]], np.ndarray]


def item_texts(dataset: Dataset) -> tuple[list[int], list[str]]:
    """Rows of the items that have a title or a description, and the two joined."""
    rows, texts = [], []
    for row, (title, description) in enumerate(zip(dataset.titles, dataset.descriptions, strict=True)):
        text = ". ".join(part.strip() for part in (title, description) if part and part.strip())
        if text:
            rows.append(row)
            texts.append(text)
    return rows, texts


def query_texts(dataset: Dataset) -> tuple[list[int], list[str]]:
    """Rows of the queries that are not blank, and their texts."""
    rows = [row for row, text in enumerate(dataset.query_texts) if row and text.strip()]
    return rows, [dataset.query_texts[row] for row in rows]


def encode_texts(dataset: Dataset, encode: TextFunction) -> Encoded:
    """Encode items and queries by one function from texts to (n, W) vectors."""
    item_rows, texts = item_texts(dataset)
    query_rows, queries = query_texts(dataset)
    vectors = encode(texts + queries)
    items, items_present = scattered(item_rows, vectors[: len(texts)], dataset.n_items + 1)
    asked, asked_present = scattered(query_rows, vectors[len(texts) :], dataset.n_queries + 1)
    return Encoded(items, items_present, asked, asked_present)


def _counters(documents: int) -> list[TfidfVectorizer]:
    """Word and character n-gram counters; with many documents an n-gram must occur in two of them."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return [
        TfidfVectorizer(
            analyzer=analyzer,
            ngram_range=NGRAMS[analyzer],
            max_features=MOST_FEATURES[analyzer],
            min_df=2 if documents >= RARE_FROM else 1,
            sublinear_tf=True,
            dtype=np.float32,
            token_pattern=r"(?u)\b\w+\b" if analyzer == "word" else None,
        )
        for analyzer in NGRAMS
    ]


def _nothing(texts: list[str]) -> np.ndarray:
    """(n, 1) zeros: vectors of texts that have nothing to be compared by, which count as absent."""
    return np.zeros((len(texts), 1), np.float32)


class TfidfSvd:
    """TF-IDF of words and characters, reduced by a truncated SVD fitted on the data set's own texts.

    Args:
        width: largest W; fewer where the texts have a smaller rank.
    """

    def __init__(self, width: int = 256):
        self.width = width

    def encode(self, dataset: Dataset, progress: Progress) -> Encoded:
        """Fit on the items' texts and the queries, then encode both."""
        return encode_texts(dataset, lambda texts: self._vectors(texts, progress))

    def _vectors(self, texts: list[str], progress: Progress) -> np.ndarray:
        """(n, W) float32 rows of length one; zero for a text without a single known n-gram."""
        if not any(any(c.isalnum() for c in text) for text in texts):
            return _nothing(texts)
        apply = self._fit(texts, progress)
        progress(2, 3, "encoding texts")
        vectors = apply(texts)
        progress(3, 3, "texts encoded")
        return vectors

    def _fit(self, texts: list[str], progress: Progress) -> TextFunction:
        """Count and reduce `texts`; the answer encodes any text into that space."""
        from sklearn.preprocessing import normalize
        from sklearn.utils.extmath import randomized_svd

        rng = np.random.default_rng(TEXT_SEED)
        chosen = rng.permutation(len(texts))[:FITTED_DOCUMENTS]
        fitted = [texts[i] for i in np.sort(chosen)]
        progress(0, 3, "counting words")
        counters, counted = [], []
        for counter in _counters(len(chosen)):
            try:
                counted.append(counter.fit_transform(fitted))
            except ValueError:  # no n-gram of it is in two texts, so it has nothing to compare them by
                continue
            counters.append(counter)
        if not counters:
            return _nothing
        counts = sparse.hstack(counted, format="csr")
        progress(1, 3, "reducing to latent dimensions")
        width = max(1, min(self.width, *counts.shape))
        _, _, basis = randomized_svd(counts, width, n_iter=POWER_ITERATIONS, random_state=TEXT_SEED)
        turned = basis.T.astype(np.float32)

        def apply(some: list[str]) -> np.ndarray:
            parts = []
            for first in range(0, len(some), CHUNK):
                part = sparse.hstack([c.transform(some[first : first + CHUNK]) for c in counters], format="csr")
                parts.append(normalize(part @ turned))
            return np.concatenate(parts).astype(np.float32)

        return apply

    def unseen(self, dataset: Dataset, progress: Progress) -> TextFunction:
        """A function that encodes texts the data set does not hold; fitted again on its texts, which gives the same
        space because nothing in the fit is left to chance.
        """
        texts = [*item_texts(dataset)[1], *query_texts(dataset)[1]]
        if not any(any(c.isalnum() for c in text) for text in texts):
            return _nothing
        return self._fit(texts, progress)


class Hashing:
    """Signed feature hashing of words and characters; nothing is fitted, so vectors never depend on other texts.

    Args:
        width: W.
    """

    def __init__(self, width: int = 256):
        from sklearn.feature_extraction.text import HashingVectorizer

        self.counters = [
            HashingVectorizer(analyzer=analyzer, ngram_range=NGRAMS[analyzer], n_features=width, dtype=np.float32)
            for analyzer in NGRAMS
        ]

    def encode(self, dataset: Dataset, progress: Progress) -> Encoded:
        """Encode items and queries."""
        return encode_texts(dataset, self._vectors)

    def _vectors(self, texts: list[str]) -> np.ndarray:
        """(n, W) float32 rows of length one."""
        if not texts:
            return np.zeros((0, self.counters[0].n_features), np.float32)
        from sklearn.preprocessing import normalize

        words, characters = (counter.transform(texts) for counter in self.counters)
        return normalize(words + characters).toarray()

    def unseen(self, dataset: Dataset, progress: Progress) -> TextFunction:
        """A function that encodes texts the data set does not hold."""
        return self._vectors
