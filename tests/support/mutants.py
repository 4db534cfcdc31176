"""Mistakes that people make, each planted in a model that is otherwise right."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import torch
from support.toy_densities import Autoregression, Couplings, Flow, MonteCarloBound
from support.toy_diffusion import Diffusion
from support.toy_models import Histogram, Mixture, TwoPlayers, TwoStages
from support.toy_pixelcnn import PixelCNN, wide_kernels
from torch import Tensor, nn
from torch.optim import Adam

from harness.contract import Batch, GenerativeModel, LogLikelihood, from_symmetric

ORIGINALS = (Autoregression, Flow, Diffusion, Histogram, Mixture, TwoPlayers, TwoStages)


@dataclass(frozen=True)
class Mutant:
    """A broken model, the check that is meant to catch it, and words of the cause it names."""

    model_class: type[GenerativeModel]
    check: str
    cause: str


MUTANTS: list[Mutant] = []


def caught_by(check: str, cause: str):
    """Add a class to ``MUTANTS``."""

    def add(model_class):
        MUTANTS.append(Mutant(model_class, check, cause))
        return model_class

    return add


# Likelihoods


@caught_by("total_probability", r"volume term -D ln\(levels\) missing")
class DensityOfTheContinuous(Flow):
    def dequantise(self, images):
        return super().dequantise(images)[0], 0.0


@caught_by("total_probability", "log-determinant, its sign")
class WrongJacobianSign(Flow):
    class network_class(Couplings):
        def log_det(self, s):
            return s.sum(1)


@caught_by("total_probability", "log-determinant")
class ForgottenJacobianOfTheLogit(Flow):
    class network_class(Couplings):
        def inverse(self, y):
            z, log_det = super().inverse(y)
            y = y.clamp(1e-6, 1 - 1e-6)
            return z, log_det - 2 * (y.log() + (1 - y).log()).sum(1)


@caught_by("total_probability", "sees itself through a mask")
class LeakInTheMask(Autoregression):
    def mask(self, dimensions):
        return torch.ones(dimensions, dimensions).tril(0)


@caught_by("total_probability", "in nats, of all of x")
class BitsForNats(Autoregression):
    def log_likelihood(self, x, y=None):
        nats = super().log_likelihood(x).nats
        return LogLikelihood(nats / torch.tensor(2.0).log(), "exact")


@caught_by("total_probability", "claims too much")
class MeanForSum(Autoregression):
    def log_likelihood(self, x, y=None):
        return LogLikelihood(super().log_likelihood(x).nats / self.spec.dimensions, "exact")


@caught_by("total_probability", r"sum to 10 .*with the prior of the classes")
class SumWithoutPrior(Mixture):
    """log sum_y P(x | y), as if every class had the probability 1."""

    def log_likelihood(self, x, y=None):
        return LogLikelihood(self.nats_of_classes(x).logsumexp(0), "exact")


@caught_by("total_probability", "nor of the best y alone")
class BestClass(Mixture):
    def log_likelihood(self, x, y=None):
        return LogLikelihood(self.nats_of_classes(x).amax(0), "exact")


@caught_by("total_probability", r"an exact likelihood's sum to 1; .*over all levels and classes")
class BestClassWithItsPrior(Mixture):
    def log_likelihood(self, x, y=None):
        nats = self.nats_of_classes(x)
        return LogLikelihood(nats.amax(0) - torch.tensor(float(len(nats))).log(), "exact")


@caught_by("total_probability", "this lower_bound claims too much")
class BestOfItsDraws(MonteCarloBound):
    def log_likelihood(self, x, y=None):
        return LogLikelihood(self.weights(x).amax(0), "lower_bound", k=self.draws)


@caught_by("entropy", "noise added to dequantise")
class NotDequantised(Flow):
    def dequantise(self, images):
        _, volume = super().dequantise(images)
        return (images.float() + 0.5) / self.spec.levels, volume


@caught_by("coverage", "blind spot")
class BlindSpot(Autoregression):
    """Three pixels wide, the first of the second row does not see the last of the first."""

    def mask(self, dimensions):
        mask = super().mask(dimensions)
        mask[3:4, 2:3] = 0
        return mask


@caught_by("coverage", "3 columns to the right in the row above")
class BlindSpotOfWideKernels(PixelCNN):
    """Kernels 5 wide see all of 3x3 pixels, and of wider images no more than two to the right."""

    Config = wide_kernels(5)


@caught_by("frequencies", "of two distributions")
class Temperature(Autoregression):
    def sample(self, n, y=None):
        x = torch.zeros(n, self.spec.dimensions, dtype=torch.int64)
        for d in range(self.spec.dimensions):
            cold = (self.logits(x)[:, d] / 0.8).softmax(1)
            x[:, d] = torch.multinomial(cold, 1).squeeze(1)
        return x.view(n, *self.spec.shape).to(torch.uint8)


@caught_by("frequencies", "order that only one of them has")
class SamplesBackwards(Autoregression):
    def sample(self, n, y=None):
        return super().sample(n, y).flip(3)


@caught_by("latent_round_trip", "not the other's inverse")
class WrongInverse(Flow):
    class network_class(Couplings):
        def forward(self, z):
            for i in reversed(range(len(self.parts))):
                s, t = self.scale_and_shift(i, z)
                z = z * s.exp() + t
            return z.sigmoid()


@caught_by("latent_round_trip", "cannot accept both")
class EncodesToImages(Flow):
    def encode(self, images):
        return super().encode(images).view_as(images)


# Samples


@caught_by("samples", "the data has 5 levels, 0 to 4")
class OutOfRange(Diffusion):
    def sample(self, n, y=None):
        return super().sample(n, y) + self.spec.levels - 1


@caught_by("samples", "returned torch.float32")
class WrongType(Diffusion):
    def sample(self, n, y=None):
        return super().sample(n, y) / (self.spec.levels - 1)


@caught_by("samples", "left the model in training mode")
class TrainsToSample(Diffusion):
    def sample(self, n, y=None):
        images = super().sample(n, y)
        self.train()
        return images


@caught_by("resemblance", "from noise to data")
class TimeBackwards(Diffusion):
    def steps(self):
        return [(then, now) for now, then in reversed(super().steps())]


@caught_by("resemblance", "the scales that training has")
class OtherScaleOfSamples(TwoPlayers):
    def decode(self, z):
        return from_symmetric(self.network(z) / 8, self.spec.levels).view(-1, *self.spec.shape)


@caught_by("condition", "training and sample use y")
class IgnoresLabels(Diffusion):
    def labels(self, labels, n):
        return super().labels(None, n)


@caught_by("condition", "in the same way")
class LabelsOffByOne(Diffusion):
    def sample(self, n, y=None):
        shifted = None if y is None else (y + 1) % self.classes
        return super().sample(n, shifted)


@caught_by("resemblance", "from noise to data")
class TransposesSamples(Autoregression):
    """As likely as the images, if rows are taken for columns."""

    def sample(self, n, y=None):
        return super().sample(n, y).transpose(2, 3)


@caught_by("evaluations", "read self.sampling_steps")
class StepsOfTheConfig(Diffusion):
    def steps(self):
        n = self.config.sampling_steps
        return [(i / n, (i - 1) / n) for i in range(n, 0, -1)]


@caught_by("evaluations", "never calls self.network")
class PastTheHooks(TwoPlayers):
    def decode(self, z):
        x = self.network.forward(z)
        return from_symmetric(x, self.spec.levels).view(-1, *self.spec.shape)


@caught_by("batch_independence", "batch statistics")
class BatchStatistics(TwoPlayers):
    def __init__(self, spec, config):
        super().__init__(spec, config)
        norm = nn.BatchNorm1d(spec.dimensions, track_running_stats=False)
        self.network = nn.Sequential(nn.Linear(4, spec.dimensions), norm, nn.Tanh())
        self.optimizers["generator"] = Adam(self.network.parameters(), 0.01, (0.5, 0.9))


@caught_by("condition", "samples do not follow their condition: 0% ")
class LabelsShiftedInTraining(Histogram):
    def training_step(self, batch, progress):
        return super().training_step(batch._replace(y=(batch.y + 1) % self.spec.classes), progress)


@caught_by("condition", "log_likelihood does not follow its condition: 0% after 100")
class LikelihoodIgnoresLabels(Histogram):
    """Sums to one for each label all the same."""

    def log_likelihood(self, x, y=None):
        return super().log_likelihood(x, None if y is None else torch.zeros_like(y))


@caught_by("frequencies", "given one y are of two distributions")
class SamplesOfTheNextLabel(Histogram):
    """Draws each label as often as it scores it, but another one's images."""

    def sample(self, n, y=None):
        return super().sample(n, None if y is None else (y + 1) % self.spec.classes)


# Steps


@caught_by("training_step", "changed x of its batch")
class MutatesTheBatch(Histogram):
    def training_step(self, batch, progress):
        losses = super().training_step(batch, progress)
        batch.x.copy_(batch.x.flip(3))
        return losses


@caught_by("training_step", "changed y of its batch")
class MutatesLabels(Histogram):
    def training_step(self, batch, progress):
        losses = super().training_step(batch, progress)
        batch.y.zero_()
        return losses


@caught_by("training_step", '"prior" moved no parameter')
class NeverReachesStageTwo(TwoStages):
    def training_step(self, batch, progress):
        return super().training_step(batch, progress * self.stages[0][1])


@caught_by("training_step", "gradients reach encoder.weight")
class ForgottenParameters(TwoStages):
    def __init__(self, spec, config):
        super().__init__(spec, config)
        self.optimizers["autoencoder"] = Adam(self.network.parameters(), config.learning_rate)


@caught_by("updates", "2 steps on one batch")
class TwoBatchesAStep(Histogram):
    def training_step(self, batch, progress):
        for half in (slice(0, None, 2), slice(1, None, 2)):
            labels = None if batch.y is None else batch.y[half]
            losses = super().training_step(Batch(batch.x[half], labels), progress)
        return losses


@caught_by("updates", "not in self.optimizers")
class HiddenOptimizer(TwoStages):
    def __init__(self, spec, config):
        super().__init__(spec, config)
        self.hidden = Adam(self.network.parameters(), 1e-3)

    def training_step(self, batch, progress):
        losses = super().training_step(batch, progress)
        self.hidden.step()
        return losses


@caught_by("overfits", "does not learn them")
class ClimbsTheLoss(Autoregression):
    def __init__(self, spec, config):
        super().__init__(spec, config)
        self.optimizers = {"adam": Adam(self.parameters(), config.learning_rate, maximize=True)}


@caught_by("average", "derived from the weights in training and kept")
class KeepsWhatItDerived(TwoPlayers):
    """Samples from a copy of its weights that every step makes."""

    def __init__(self, spec, config):
        super().__init__(spec, config)
        self.kept = None

    def training_step(self, batch, progress):
        losses = super().training_step(batch, progress)
        self.kept = [p.detach().clone() for p in self.network.parameters()]
        return losses

    def decode(self, z):
        if self.kept is None:
            return super().decode(z)
        weight, bias = self.kept
        x = nn.functional.linear(z, 30 * weight, bias).tanh()
        return from_symmetric(x, self.spec.levels).view(-1, *self.spec.shape)


@caught_by("average", "buffers are or were NaN, after 2 batches: 'scale'")
class NotANumberForAStep(TwoStages):
    def __init__(self, spec, config):
        super().__init__(spec, config)
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("taken", torch.zeros((), dtype=torch.int64))

    def training_step(self, batch, progress):
        self.taken += 1
        self.scale.fill_(math.nan if self.taken == 2 else 1.0)
        return super().training_step(batch, progress)


@caught_by("period", "repeats after 3 steps, and `period` is 1: set self.period = 3")
class TakesTurnsInSecret(TwoPlayers):
    def __init__(self, spec, config):
        super().__init__(spec, config)
        self.period = 1


@caught_by("period", "repeats after 4 steps")
class RegularisesNowAndThen(Histogram):
    """A penalty every fourth step, which moves the same optimizer at a higher cost."""

    steps = 0

    def training_step(self, batch, progress):
        losses = super().training_step(batch, progress)
        if self.steps % 4 == 0:
            losses["penalty"] = (self.network.weight.T @ self.network.weight).square().mean()
        self.steps += 1
        return losses


# Schedules, seeds, state


class CountsSteps(Diffusion):
    """Right in itself: counts its steps where a checkpoint sees them."""

    def __init__(self, spec, config):
        super().__init__(spec, config)
        self.register_buffer("steps_taken", torch.zeros((), dtype=torch.int64))

    def training_step(self, batch, progress):
        self.steps_taken += 1
        return super().training_step(batch, progress)


@caught_by("progress", "lr of optimizer 'adam' goes from")
class DecaysByCount(CountsSteps):
    def decay(self, progress):
        return 0.999 ** float(self.steps_taken)


@caught_by("progress", "count of steps in steps_taken")
class CurriculumByCount(CountsSteps):
    def weight(self, progress):
        return min(1.0, float(self.steps_taken) / 1000)


@caught_by("seeds", "noise is drawn once and kept")
class CachedNoise(Flow):
    def __init__(self, spec, config):
        super().__init__(spec, config)
        self.register_buffer("u", torch.rand(1024, *spec.shape))

    def dequantise(self, images):
        _, volume = super().dequantise(images)
        return (images + self.u[: len(images)]) / self.spec.levels, volume


@caught_by("seeds", "Python's random or numpy")
class RandomOfPython(Diffusion):
    def times(self, n):
        return torch.tensor([[random.random()] for _ in range(n)])


@caught_by("seeds", "training_step seeds torch's generator itself")
class SeedsItself(Diffusion):
    def training_step(self, batch, progress):
        torch.manual_seed(0)
        return super().training_step(batch, progress)


@caught_by("seeds", "draws no random number")
class SameLatents(TwoPlayers):
    def __init__(self, spec, config):
        super().__init__(spec, config)
        self.register_buffer("z", torch.randn(4096, 4))

    def sample(self, n, y=None):
        return self.decode(self.z[:n])


@caught_by("bitwise_resume", "some state is in no module")
class PythonState(TwoPlayers):
    """Counts in an attribute whose turn it is, and saves nothing."""

    def get_extra_state(self):
        return 0

    def set_extra_state(self, state):
        pass


@caught_by("bitwise_resume", "some state is in no module")
class MovingAverageInAList(Histogram):
    """Clips gradients by a moving average of their norm."""

    norm = 0.0

    def training_step(self, batch, progress):
        losses = super().training_step(batch, progress)
        self.norm = 0.9 * self.norm + 0.1 * float(losses["nats"])
        with torch.no_grad():
            self.network.weight.mul_(1 - 1e-3 * self.norm)
        return losses


@caught_by("memory", "tensors stay alive")
class KeepsLosses(Diffusion):
    def __init__(self, spec, config):
        super().__init__(spec, config)
        self.history = []

    def training_step(self, batch, progress):
        losses = super().training_step(batch, progress)
        self.history.append(losses["loss"])
        return losses


@caught_by("memory", "nodes of autograd's graph stay alive")
class HoldsTheGraph(Autoregression):
    """Sums losses for a log, and with them the graphs of all steps."""

    total: Tensor | float = 0.0

    def training_step(self, batch, progress):
        self.total = self.total + self.log_likelihood(batch.x).nats.mean()
        return super().training_step(batch, progress)


# Sizes and settings


@caught_by("sizes", "derive sizes from spec")
class SquareImagesOnly(Diffusion):
    def sample(self, n, y=None):
        side = self.spec.shape[1]
        return super().sample(n, y).view(n, -1, side, side)


@caught_by("sizes", r"accept texts 16 with 17 levels .*, but sample fails on them")
class AnswersTextWithImages(TwoPlayers):
    makes = frozenset({"image", "text"})

    def decode(self, z):
        x = super().decode(z)
        return x if x.ndim == 4 else x[:, None, None]


@caught_by("sizes", r"accept videos 2x1x8x8 .*, but log_likelihood fails on them")
class ScoresImagesAlone(Histogram):
    makes = frozenset({"image", "video"})

    def log_likelihood(self, x, y=None):
        channels, height, width = x.shape[1:]
        return super().log_likelihood(x.view(-1, channels, height, width), y)


@caught_by("sizes", r"accept images 1x8x8 .* and texts 16 with 17 levels .*, but training_step")
class TakesTextForLabels(Histogram):
    takes = frozenset({"label", "text"})


@caught_by("sizes", "training_step fails")
class NeedsLabels(Histogram):
    def training_step(self, batch, progress):
        return super().training_step(Batch(batch.x, batch.y.long()), progress)


@caught_by("types", r"training_step returned a float as the loss 'nats'")
class LossesOfFloats(Histogram):
    def training_step(self, batch, progress):
        losses = super().training_step(batch, progress)
        return {name: float(loss) for name, loss in losses.items()}


@caught_by("config", r"must be dataclass\(frozen=True\)")
class ThawedConfig(Histogram):
    Config = dataclass(type("Config", (), {"__annotations__": {"batch_size": int}}))
