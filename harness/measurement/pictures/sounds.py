"""Sounds as spectrograms in a PNG, and one after the other in a WAV."""

from __future__ import annotations

import io
import math
import wave

import numpy as np
from numpy.typing import NDArray

from harness.contract import ArraySpec
from harness.measurement.pictures import images

COLUMNS = 4
MOST = 8
RATE = 8000
"""Samples per second of sounds that do not say theirs."""
SECONDS = 12.0
"""That all sounds of a recording take at most, the silence between them apart."""
SILENCE = 0.25
"""Seconds between two sounds."""
WINDOW = 0.032
"""Seconds of sound that one column of a spectrogram is computed from."""
WIDTH = 160
"""Columns of a spectrogram, about."""
FLOOR = -80.0
"""Decibels below a sine of full amplitude that are drawn black."""
MU = 255


def perceptible(x: NDArray[np.uint8], spec: ArraySpec) -> NDArray[np.float64]:
    """Return the waves (N, C, L) in [-1, 1] of integers: mu-law of 256 levels, linear of others.

    Companded, s = 2 x / (levels - 1) - 1; mu-law has sign(s) ((1 + mu)^|s| - 1) / mu, mu = 255
    (ITU-T G.711).
    """
    s = 2 * x.astype(np.float64) / (spec.levels - 1) - 1
    return np.sign(s) * np.expm1(np.abs(s) * math.log1p(MU)) / MU if spec.levels == MU + 1 else s


def paired(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return waves one after the other, which are as long as each other."""
    return np.stack([left, right], axis=1).reshape(-1, *right.shape[1:])


def files(waves: NDArray[np.float64], spec: ArraySpec, columns: int) -> dict[str, bytes]:
    """Return the spectrograms of waves (N, C, L) as "png", and the same sounds as "wav"."""
    rate = max(round(spec.rate), 1) if spec.rate else RATE
    most = max(int(SECONDS * rate), 1)
    waves = waves[: max(most // waves.shape[-1], 1), :, :most]
    pictures = np.stack([spectrogram(sound.mean(axis=0), rate) for sound in waves])
    return {"png": images.png(images.grid(pictures, columns)), "wav": wav(waves, rate)}


def spectrogram(sound: NDArray[np.float64], rate: int) -> NDArray[np.uint8]:
    """Return gray values (frequency, time) of a wave (L,): high frequencies above, loud ones white.

    Each column is the spectrum of a window of Hann, in decibels below a sine of full amplitude.
    """
    size = min(2 ** max(round(math.log2(WINDOW * rate)), 3), 512)
    padded = np.pad(sound, size // 2)
    step = max(len(sound) // WIDTH, 1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)[::step]
    hann = np.hanning(size + 1)[:-1]
    amplitudes = np.abs(np.fft.rfft(windows * hann, axis=1)) * 2 / hann.sum()
    decibels = 20 * np.log10(np.maximum(amplitudes, 1e-9))
    gray = np.rint(255 * np.clip(1 - decibels / FLOOR, 0, 1)).T[::-1]
    pixels: NDArray[np.uint8] = gray.astype(np.uint8)
    return pixels


def wav(waves: NDArray[np.float64], rate: int) -> bytes:
    """Return waves (N, C, L) in [-1, 1] as a WAV of 16 bits, with silence between them.

    One channel or two; of more, the first is heard.
    """
    heard = waves if waves.shape[1] <= 2 else waves[:, :1]
    silence = np.zeros((heard.shape[1], round(SILENCE * rate)))
    parts = [part for sound in heard for part in (silence, sound)][1:]
    samples = np.rint(np.concatenate(parts, axis=1) * 32767).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as recording:
        recording.setnchannels(len(samples))
        recording.setsampwidth(2)
        recording.setframerate(rate)
        recording.writeframes(samples.T.tobytes())
    return file.getvalue()
