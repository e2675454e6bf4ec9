"""What each figure of the number card means, which way is better, and where its definition comes from.

Beside the card: it names its figures by this, and pages, the glossary and the docs explain them by it. Imports nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

PAIR_METRICS = ("paired_cosine", "centroid_gap", "recall@1", "recall@10", "mrr", "knn_overlap", "cka")
CHANNEL_METRICS = ("effective_rank", "uniformity", "hubness")
ONE_WAY = ("T>I", "A>T", "A>I", "Q>T", "Q>A", "Q>I")  # the headline first
CLASSIFIER = "modality_classifier_accuracy"


@dataclass(frozen=True)
class Definition:
    """What a figure means.

    Fields:
        title: as it is shown.
        meaning: one or two sentences.
        better: which way is more aligned (or healthier), in words.
        source: where the definition comes from.
    """

    title: str
    meaning: str
    better: str
    source: str


DEFINITIONS: dict[str, Definition] = {
    "paired_cosine": Definition(
        "Paired cosine",
        "Mean cosine between an item's two vectors, with the 5th and 95th percentile; random = two different items.",
        "higher, measured from the random value",
        "Wang and Isola 2020, arXiv 2005.10242 (alignment)",
    ),
    "centroid_gap": Definition(
        "Centroid gap",
        "Distance between the mean unit vectors of two modalities; `unscaled` is it before scaling to length one.",
        "lower",
        "Liang et al. 2022, arXiv 2203.02053 (modality gap)",
    ),
    "recall@1": Definition(
        "Recall@1",
        "Share of items whose own vector in the other modality is the nearest of all; ties in random order.",
        "higher",
        "cross-modal retrieval, as in CLIP, arXiv 2103.00020",
    ),
    "recall@10": Definition(
        "Recall@10",
        "Share of items whose own vector in the other modality is among the ten nearest; ties in random order.",
        "higher",
        "cross-modal retrieval, as in CLIP, arXiv 2103.00020",
    ),
    "mrr": Definition(
        "MRR",
        "Mean of one over the rank of the item's own vector in the other modality; ties in random order.",
        "higher",
        "cross-modal retrieval",
    ),
    "knn_overlap": Definition(
        "k-NN overlap",
        "Share of an item's ten nearest neighbours that the two modalities have in common; needs no shared space.",
        "higher",
        "Huh et al. 2024, arXiv 2405.07987 (mutual k-NN)",
    ),
    "cka": Definition(
        "CKA",
        "Linear centred kernel alignment: are the same items alike in both? Blind to rotation, offset and scale.",
        "higher, measured from the random value",
        "Kornblith et al. 2019, arXiv 1905.00414",
    ),
    "effective_rank": Definition(
        "Effective rank",
        "Exponential of the entropy of the singular values: how many directions a modality really uses.",
        "higher; one is a collapse",
        "RankMe, Garrido et al. 2023, arXiv 2210.02885",
    ),
    "uniformity": Definition(
        "Uniformity",
        "Log of the mean of exp(-2 d^2) over pairs of unit vectors; random = spread evenly over the sphere.",
        "lower; zero is a collapse",
        "Wang and Isola 2020, arXiv 2005.10242",
    ),
    "hubness": Definition(
        "Hubness",
        "Skewness of how often items are among others' ten nearest; random = neighbours drawn by chance.",
        "lower",
        "Radovanovic et al. 2010, JMLR 11",
    ),
    CLASSIFIER: Definition(
        "Modality classifier",
        "Cross-validated accuracy of a linear classifier that tells from a vector which modality it is of.",
        "lower; chance means one shared space",
        "linear probe, logistic regression",
    ),
}
