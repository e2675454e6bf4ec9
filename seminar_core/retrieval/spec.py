"""Specification strings: one short text names an index, its transform and its codes.

Retrieval, first stop: parsed here, printed back to the same text, used as a directory name. The notation follows
faiss's index strings, with the transforms of this project in front.

    specification := ["fused,"] ["QC" n ","] ["OPQ,"] coder
    coder := "PQ" S "x" b ["fs"] | "RQ" S "x" b ["fs"] | "SQ8" | "VQ" C | "SymPQ" S "x" b
             | "LSH" [bits] | "HNSW" [links] | "exact"

S sub-spaces of b bits each; `fs` = 4-bit FastScan; `QCn` = query-aware transform to n dimensions; `fused` = one vector
per event for fixed channel weights; `SymPQ` = the paper's scheme (arXiv 2407.10714): per channel, target quantised too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import SeminarError

DEFAULT = "QC64,RQ32x4fs"
GRAMMAR = (
    "[fused,][QC<n>,][OPQ,]CODER with CODER one of PQ<S>x<b>[fs], RQ<S>x<b>[fs], SQ8, VQ<C>, SymPQ<S>x<b>, "
    "LSH[<bits>], HNSW[<links>], exact; b is 4 or 8, fs needs 4"
)
KNOWN = (
    "QC64,RQ32x4fs",
    "QC128,RQ32x4fs",
    "QC64,RQ16x4fs",
    "QC96,RQ16x8",
    "QC96,OPQ,PQ16x8",
    "OPQ,PQ16x8",
    "PQ16x8",
    "PQ16x4fs",
    "VQ256",
    "SQ8",
    "fused,SQ8",
    "fused,RQ16x8",
    "SymPQ16x8",
    "HNSW",
    "LSH",
    "exact",
    "fused,exact",
)
_CODER = re.compile(
    r"(?P<kind>SymPQ|PQ|RQ)(?P<S>\d{1,4})x(?P<b>\d{1,2})(?P<fs>fs)?|(?P<sq>SQ)8|(?P<vq>VQ)(?P<C>\d{1,5})"
    r"|(?P<lsh>LSH)(?P<bits>\d{1,5})?|(?P<hnsw>HNSW)(?P<links>\d{1,3})?|(?P<exact>exact)"
)
SHORTLIST_KINDS = ("LSH", "HNSW")


class SpecError(SeminarError):
    """A specification string that cannot be read, or that does not fit the vectors it is used on."""

    kind = "specification"

    def __init__(self, message: str, *, hint: str | None = None):
        super().__init__(message, hint=hint or f"the grammar is {GRAMMAR}; for example {DEFAULT}")


@dataclass(frozen=True)
class Spec:
    """A parsed specification.

    Fields:
        kind: PQ, RQ, SQ, VQ, SymPQ, LSH, HNSW or exact.
        subspaces: S, code words per event (0 where there are none).
        centroids: C per sub-space (0 where there are none).
        fastscan: 4-bit codes scanned in registers; the packed layout then answers with the best events only.
        dims: dimensions kept by the query-aware transform, 0 = no such transform.
        opq: a learnt rotation before product quantisation.
        fused: one vector per event, for fixed channel weights.
        size: bits of LSH or links of HNSW (0 = not used).
    """

    kind: str
    subspaces: int = 0
    centroids: int = 0
    fastscan: bool = False
    dims: int = 0
    opq: bool = False
    fused: bool = False
    size: int = 0

    def __str__(self) -> str:
        parts = (["fused"] if self.fused else []) + ([f"QC{self.dims}"] if self.dims else [])
        return ",".join([*parts, *(["OPQ"] if self.opq else []), self._coder()])

    def _coder(self) -> str:
        if self.kind in ("PQ", "RQ", "SymPQ"):
            return f"{self.kind}{self.subspaces}x{self.bits}{'fs' if self.fastscan else ''}"
        if self.kind == "VQ":
            return f"VQ{self.centroids}"
        if self.kind in SHORTLIST_KINDS:
            return f"{self.kind}{self.size}"
        return "SQ8" if self.kind == "SQ" else self.kind

    @property
    def bits(self) -> int:
        """Bits of one code word."""
        return max(self.centroids - 1, 0).bit_length()

    @property
    def folder(self) -> str:
        """The specification as a directory name: the commas become dots."""
        return str(self).replace(",", ".")

    @property
    def code_bytes(self) -> float:
        """Bytes of one additive code."""
        return self.subspaces * self.bits / 8

    @property
    def additive(self) -> bool:
        """Whether a code stands for a sum of centroids, so that look-up tables score it."""
        return self.kind in ("PQ", "RQ", "VQ", "SymPQ")

    @property
    def trained(self) -> bool:
        """Whether codebooks are trained and kept with the run."""
        return self.additive or self.kind == "SQ"


def parse(text: str) -> Spec:
    """Read a specification string.

    Raises:
        SpecError: an unknown part, parts in the wrong order, or numbers out of range; the hint is the grammar.
    """
    parts = [part.strip() for part in text.split(",")]
    found = _CODER.fullmatch(parts[-1])
    if found is None:
        raise SpecError(f"specification {text!r} has the unknown part {parts[-1]!r} where its coder should be")
    fused = opq = False
    dims = 0
    stage = 0
    for part in parts[:-1]:
        if part == "fused" and stage < 1:
            fused, stage = True, 1
        elif (qc := re.fullmatch(r"QC(\d{1,4})", part)) and stage < 2:
            dims, stage = int(qc.group(1)), 2
            if dims < 1:
                raise SpecError(f"specification {text!r}: QC0 keeps no dimension")
        elif part == "OPQ" and stage < 3:
            opq, stage = True, 3
        else:
            raise SpecError(f"specification {text!r} has the unknown or misplaced part {part!r}")
    return _checked(text, found, dims=dims, opq=opq, fused=fused)


def _checked(text: str, found: re.Match[str], *, dims: int, opq: bool, fused: bool) -> Spec:
    """Build the specification from the coder's match, refusing combinations that mean nothing."""
    part = found.groupdict()
    if part["kind"]:
        spec = Spec(
            part["kind"], int(part["S"]), 1 << int(part["b"]), part["fs"] is not None, dims=dims, opq=opq, fused=fused
        )
        if int(part["b"]) not in (4, 8):
            raise SpecError(f"specification {text!r}: {part['b']} bits per code word, only 4 and 8 are known")
        if not 1 <= spec.subspaces <= 256:
            raise SpecError(f"specification {text!r}: {spec.subspaces} sub-spaces, expected 1 to 256")
        if spec.fastscan and (spec.bits != 4 or spec.subspaces % 2):
            raise SpecError(f"specification {text!r}: fs scans an even number of 4-bit code words")
    elif part["vq"]:
        spec = Spec("VQ", 1, int(part["C"]), dims=dims, opq=opq, fused=fused)
        if not 2 <= spec.centroids <= 65536:
            raise SpecError(f"specification {text!r}: VQ{spec.centroids} needs 2 to 65536 centroids")
    elif part["sq"]:
        spec = Spec("SQ", dims=dims, opq=opq, fused=fused)
    elif part["lsh"]:
        spec = Spec("LSH", size=int(part["bits"] or 128), dims=dims, opq=opq, fused=fused)
    elif part["hnsw"]:
        spec = Spec("HNSW", size=int(part["links"] or 16), dims=dims, opq=opq, fused=fused)
        if spec.size < 2:
            raise SpecError(f"specification {text!r}: HNSW needs at least 2 links")
    else:
        spec = Spec("exact", dims=dims, opq=opq, fused=fused)
    if spec.kind in SHORTLIST_KINDS and spec.size < 1:
        raise SpecError(f"specification {text!r}: LSH0 has no bit")
    if spec.kind in ("SymPQ", "exact", *SHORTLIST_KINDS) and (dims or opq or (fused and spec.kind != "exact")):
        raise SpecError(f"specification {text!r}: {spec.kind} works on the channels as they are, without transforms")
    if opq and spec.kind != "PQ":
        raise SpecError(f"specification {text!r}: OPQ is a rotation for PQ, not for {spec.kind}")
    return spec


def check_fits(spec: Spec, *, channels: int, width: int) -> None:
    """Check that `spec` can code events of `channels` channels of `width` numbers each.

    Raises:
        SpecError: with both numbers.
    """
    total = width if spec.fused else channels * width
    what = f"{'fused vectors' if spec.fused else f'{channels} channels'} of width {width} have {total} numbers"
    if spec.dims > total:
        raise SpecError(
            f"{spec}: QC{spec.dims} asks for {spec.dims} dimensions but {what}", hint=f"use QC{total} or less"
        )
    if spec.kind == "PQ" and (spec.dims or total) % spec.subspaces:
        raise SpecError(
            f"{spec}: {spec.subspaces} sub-spaces do not divide {spec.dims or total} dimensions ({what})",
            hint="choose a number of sub-spaces that divides the dimensions",
        )
    if spec.kind == "SymPQ" and (spec.subspaces % channels or width % (spec.subspaces // channels)):
        raise SpecError(
            f"{spec}: {spec.subspaces} sub-spaces over {channels} channels do not divide the width {width}",
            hint=f"choose a multiple of {channels} whose {channels}th part divides {width}",
        )
