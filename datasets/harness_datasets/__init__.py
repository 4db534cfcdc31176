"""Data sets that ship with the harness."""

from __future__ import annotations

from harness.hooks import DatasetInfo, hookimpl


@hookimpl
def harness_datasets() -> list[DatasetInfo]:
    """List the data sets."""
    return [
        DatasetInfo(
            name="digits",
            summary="1,797 scanned digits of scikit-learn, 1x8x8, 17 levels; needs no download",
            target="harness_datasets.digits:load",
            features="digits-classifier",
        ),
        DatasetInfo(
            name="mnist",
            summary="70,000 handwritten digits, 1x28x28, 256 levels (LeCun et al., 1998)",
            target="harness_datasets.mnist:load_mnist",
            features="mnist-classifier",
            files="harness_datasets.mnist:mnist_files",
        ),
        DatasetInfo(
            name="fashion-mnist",
            summary="70,000 articles of clothing, 1x28x28, 256 levels (Xiao et al., 2017)",
            target="harness_datasets.mnist:load_fashion_mnist",
            features="fashion-mnist-classifier",
            files="harness_datasets.mnist:fashion_mnist_files",
        ),
        DatasetInfo(
            name="cifar10",
            summary="60,000 photographs in 10 classes, 3x32x32, 256 levels (Krizhevsky, 2009)",
            target="harness_datasets.cifar:load",
            features="cifar10-jpeg-classifier",
            files="harness_datasets.cifar:files",
        ),
        DatasetInfo(
            name="cifar10-jpeg",
            summary="CIFAR-10 (JPEG q75): lossy, 60,000 photographs, 3x32x32, 256 levels",
            target="harness_datasets.cifar_jpeg:load",
            features="cifar10-jpeg-classifier",
            files="harness_datasets.cifar_jpeg:files",
        ),
        DatasetInfo(
            name="image-folder",
            summary="PNG, JPEG and other files of one size, in one folder or one folder per class",
            target="harness_datasets.image_folder:load",
            argument="PATH",
        ),
        DatasetInfo(
            name="npz",
            summary="uint8 arrays of images, and labels if there are any, in an .npz file",
            target="harness_datasets.npz:load",
            argument="PATH",
        ),
        DatasetInfo(
            name="known-density",
            summary="synthetic 1x4x4 images with 4 levels whose entropy is known exactly",
            target="harness_datasets.known_density:load",
            argument="independent|markov|mixture",
        ),
    ]
