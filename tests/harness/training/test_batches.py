"""The order of the data: each image once an epoch, whatever the batch size; a function of index."""

import numpy as np
import pytest
import torch

from harness.dataset import Split
from harness.training.batches import BatchStream

CPU = torch.device("cpu")


def numbered(n):
    """Images that carry their own number, and labels that repeat it."""
    images = np.arange(n, dtype=np.uint8).reshape(n, 1, 1, 1)
    return Split(images, np.arange(n, dtype=np.int64))


def numbers(stream, batches):
    return torch.cat([stream.batch(i).x.flatten() for i in range(batches)]).tolist()


@pytest.mark.parametrize(("n", "batch_size"), [(12, 4), (10, 4), (7, 3), (5, 8), (3, 7), (1, 4)])
def test_every_image_comes_once_an_epoch_across_the_borders_of_batches(n, batch_size):
    seen = numbers(BatchStream(numbered(n), batch_size, seed=3, device=CPU), batches=n)
    epochs = [sorted(seen[i : i + n]) for i in range(0, n * batch_size, n)]
    assert epochs == [list(range(n))] * batch_size


def test_labels_stay_with_their_images():
    stream = BatchStream(numbered(10), 4, seed=0, device=CPU)
    for index in range(7):
        batch = stream.batch(index)
        assert batch.x.flatten().tolist() == batch.y.tolist()


def test_a_batch_depends_on_its_index_and_the_seed_alone():
    stream = BatchStream(numbered(50), 16, seed=1, device=CPU)
    in_order = [stream.batch(i).x for i in range(9)]
    fresh = BatchStream(numbered(50), 16, seed=1, device=CPU)
    for index in (8, 0, 3, 7, 3):
        assert torch.equal(fresh.batch(index).x, in_order[index])
    other = BatchStream(numbered(50), 16, seed=2, device=CPU)
    assert not torch.equal(other.batch(0).x, in_order[0])


def test_epochs_differ_in_order():
    stream = BatchStream(numbered(50), 50, seed=1, device=CPU)
    assert not torch.equal(stream.batch(0).x, stream.batch(1).x)


def test_unlabelled_data_gives_no_labels():
    split = Split(numbered(4).x)
    assert BatchStream(split, 2, seed=0, device=CPU).batch(0).y is None
