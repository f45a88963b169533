"""Exact discrete distributions for the oracles: Poisson, the clipped normal on a grid, and their sums."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def poisson(mean: float, tail: float = 1e-15) -> Floats:
    """Probabilities of 0, 1, 2, … units, up to where less than `tail` is left."""
    probabilities = [math.exp(-mean)]
    while 1.0 - math.fsum(probabilities) > tail and len(probabilities) < 10 * mean + 100:
        probabilities.append(probabilities[-1] * mean / len(probabilities))
    return np.array(probabilities) / math.fsum(probabilities)


def negative_binomial(mean: float, variance: float, tail: float = 1e-13) -> Floats:
    """Probabilities of 0, 1, 2, … units for a Poisson whose own mean is gamma distributed; variance > mean."""
    chance = mean / variance  # of stopping
    size = mean * chance / (1 - chance)
    probabilities = [chance**size]
    while 1.0 - math.fsum(probabilities) > tail and len(probabilities) < 10_000:
        k = len(probabilities)
        probabilities.append(probabilities[-1] * (size + k - 1) / k * (1 - chance))
    return np.array(probabilities) / math.fsum(probabilities)


def clipped_normal(mean: float, std: float, step: float) -> Floats:
    """Probabilities of 0, 1, 2, … grid steps for max(X, 0), X normal: the mass within half a step of each."""
    points = math.ceil((mean + 9 * std) / step) + 1
    edges = (np.arange(points) + 0.5) * step
    below = np.array([0.5 * math.erfc((mean - edge) / (std * math.sqrt(2))) for edge in edges])
    mass = np.diff(below, prepend=0.0)  # the first holds everything clipped
    return np.asarray(mass / mass.sum())


def convolve(first: Floats, second: Floats) -> Floats:
    """Distribution (or any sequence) convolved with another, by the fast Fourier transform."""
    length = len(first) + len(second) - 1
    size = 1 << (length - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(first, size) * np.fft.rfft(second, size), size)[:length]
    return np.asarray(product)


def total(single: Floats, periods: int) -> Floats:
    """Distribution of the sum of independent periods."""
    sums = np.ones(1)
    for _ in range(periods):
        sums = np.clip(convolve(sums, single), 0.0, None)
    return np.asarray(sums / sums.sum())
