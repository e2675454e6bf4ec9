"""A query that nobody has asked before, as a row of a study's model.

Diagnostics. The words are hashed as at import and the text encoder of the run's data set gives the whole query's
vector; both are appended to the model's frozen tables of queries, in memory alone. Rows of known queries do not move.
Vectors that were given as a file have none for a new query: its words alone count there.
"""

from __future__ import annotations

import torch

from ..data.vocabulary import query_token_table
from ..errors import ConfigError
from .study import Study


def query_row(study: Study, text: str) -> int:
    """Row of a query text in the study's model, 0 for an empty text.

    Raises:
        ConfigError: the run has no query channel.
    """
    text = text.strip()
    if not text:
        return 0
    if not study.model.fusion.has_query:
        raise ConfigError(
            f"run {study.run.name!r} has no query channel, so the query {text!r} would change nothing",
            hint="leave the query out, or choose a run with queries",
        )
    known = study.dataset.query_row(text)
    if known:
        return known
    typed = study.typed
    if text not in typed:
        typed[text] = append_query(study, text)
    return typed[text]


@torch.no_grad()
def append_query(study: Study, text: str) -> int:
    """Append a query to the tables of the study's model and return its row."""
    channels = study.model.channels
    row = channels.n_queries + 1
    tokens = torch.from_numpy(query_token_table(["", text])[1:]).long()  # (1, T)
    present = torch.zeros(1, dtype=torch.bool)
    if channels.token_embedding is not None:
        width = channels.query_tokens.shape[1]
        channels.query_tokens = torch.cat([channels.query_tokens, tokens[:, :width]])
        present |= (tokens != 0).any(1)
    if channels.query_projection is not None:
        made = study.encode_query(text)
        width = channels.text_queries.shape[1]
        vector = torch.zeros(1, width) if made is None else torch.from_numpy(made).float().view(1, width)
        channels.text_queries = torch.cat([channels.text_queries, vector])
        present |= (vector != 0).any(1)
    channels.query_present = torch.cat([channels.query_present, present])
    channels.n_queries = row
    return row
