"""Verdicts in responses."""

from typing import Any

from app.verdicts.model import Verdict


def verdict_members(verdict: Verdict, *, with_reason: bool = True) -> dict[str, Any]:
    said = verdict.said
    return {
        "hash": verdict.source,
        "key": said.key,
        "state": said.state,
        "version": said.version,
        **({"reason": said.reason} if with_reason else {}),
        "governed_at": verdict.governed_at,
        "governed_by": verdict.governed_by,
    }
