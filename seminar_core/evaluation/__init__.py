"""Ranks, metrics, intervals and the protocol that a sceptic accepts."""
