"""The range of int8 weights: eight bits where the processor has int8 dot products, seven where their sums saturate.

Without such instructions (AVX2; AVX-512 without VNNI), uint8 activations and int8 weights are multiplied by VPMADDUBSW,
which adds two products in 16 bits: 2 · 255 · 127 overflows and is clipped silently, 2 · 255 · 64 fits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

Int8Range = Literal["full range", "reduced range"]
FULL: Final = "full range"
REDUCED: Final = "reduced range"
LARGEST: dict[Int8Range, int] = {FULL: 127, REDUCED: 64}
"""Largest magnitude of a weight in each range."""

# As ONNX Runtime chooses its kernels (onnxruntime/core/mlas/lib/platform.cpp, and tried with 1.31 on a processor whose
# other flags were hidden): AVX512_VNNI and AVX_VNNI each give products and convolutions with dot products, and so does
# ARM's dot product (asimddp) or matrix product (i8mm). AMX serves matrix products alone, but comes with AVX512_VNNI.
_DOT_PRODUCTS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})


def has_int8_dot_products(instructions: Iterable[str]) -> bool:
    """Return whether a processor with these instruction sets, named as in /proc/cpuinfo, has int8 dot products."""
    return not _DOT_PRODUCTS.isdisjoint(instructions)


def range_for(instructions: Iterable[str]) -> Int8Range:
    """Return the range whose products do not saturate on a processor with these instruction sets."""
    return FULL if has_int8_dot_products(instructions) else REDUCED


def range_here() -> Int8Range:
    """Return the range for this device, for which artifacts are built."""
    from explorer.system import environment

    return range_for(environment.processor()["instructions"])


def range_warning(stated: str | None, instructions: Iterable[str]) -> str | None:
    """Return a sentence where weights of the `stated` range do not suit the processor; None where they do.

    `stated` None: the range was not recorded, so the weights may be of full range.
    """
    if has_int8_dot_products(instructions):
        if stated != REDUCED:
            return None
        return (
            "its int8 weights are of reduced range, right on any processor; this one has int8 dot products, so that "
            "full range would be possible: run the study on this device and export again"
        )
    if stated == REDUCED:
        return None
    what = "are of full range" if stated == FULL else "are of a range not recorded"
    return (
        f"its int8 weights {what}, and this processor has no int8 dot products (VNNI): products may saturate and "
        "accuracy may be lower; run the study on this device and export again"
    )
