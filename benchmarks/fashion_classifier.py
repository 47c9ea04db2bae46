"""The classifier that judges clothes: a small convolutional network, trained here, fixed seed.

    python -m benchmarks fashion_classifier

Images [1, 32, 32] from -1 to 1 (black border as the prior's), three convolutions with stride 2
(32, 64, 128 channels, ReLU), 64 features, ten classes; AdamW, six passes over the 60,000 training
images, which are shifted by up to a pixel. Its 64 features (after ReLU) are those of the Frechet
distance, of precision and recall. Weights go to results/fashion_classifier.safetensors.
"""

from __future__ import annotations

import time

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.common import RESULTS, save
from wellposed.datasets import Fashion, load
from wellposed.rng import Stream

WEIGHTS = "fashion_classifier.safetensors"
PASSES, BATCH, RATE = 6, 128, 2e-3


class Classifier(nn.Module):
    """Ten logits of images [B, 1, 32, 32]."""

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 32, 64, 128)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, size, stride=2, padding=size // 2)
            for a, b, size in zip(widths[:-1], widths[1:], (5, 3, 3), strict=True)
        )
        self.hidden = nn.Linear(128 * 16, 64)
        self.out = nn.Linear(64, 10)

    def features(self, x: Tensor) -> Tensor:
        """Return 64 features >= 0, [B, 64]."""
        for convolution in self.convolutions:
            x = functional.relu(convolution(x))
        return functional.relu(self.hidden(x.flatten(1)))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, [B, 10]."""
        return self.out(self.features(x))


def images(values: object) -> Tensor:
    """Return bytes [n, 28, 28] as the prior sees them, [n, 1, 32, 32], float32."""
    x = torch.as_tensor(values).float()[:, None] / 127.5 - 1
    return functional.pad(x, (2, 2, 2, 2), value=-1.0)


def train(x: Tensor, labels: Tensor, passes: int = PASSES, seed: int = 0) -> Classifier:
    """Train on images [n, 1, 32, 32] and labels [n]."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Classifier()
    steps = passes * (len(x) // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.05)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps, pct_start=0.15)
    stream, step = Stream(seed), 0
    for turn in range(passes):
        order = torch.randperm(len(x), generator=stream.generator("order", turn))
        for rows in order.split(BATCH):
            if len(rows) < BATCH:
                break
            shift = (3 * stream.uniform((2,), "shift", step)).long() - 1
            batch = torch.roll(x[rows], shift.tolist(), (2, 3))
            optimizer.zero_grad()
            functional.cross_entropy(network(batch), labels[rows]).backward()
            optimizer.step()
            rates.step()
            step += 1
    return network.eval().requires_grad_(False)


def judged(network: Classifier, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return features [n, 64] and class probabilities [n, 10]."""
    found = [network.features(part) for part in torch.split(x, 1000)]
    features = torch.cat(found)
    return features, network.out(features).softmax(1)


def accuracy(network: Classifier, x: Tensor, labels: Tensor) -> float:
    """Return the share of right classes."""
    return float((judged(network, x)[1].argmax(1) == labels).double().mean())


def classifier(data: Fashion) -> Classifier:
    """Return the trained classifier; train it if its weights are not there."""
    path = RESULTS / WEIGHTS
    if not path.exists():
        fit(data)
    network = Classifier()
    network.load_state_dict(load_file(path))
    return network.eval().requires_grad_(False)


def fit(data: Fashion) -> dict[str, float]:
    """Train, test, and keep the weights."""
    start = time.process_time()
    network = train(images(data.train), torch.as_tensor(data.train_labels).long())
    found = {
        "test_accuracy": accuracy(
            network, images(data.test), torch.as_tensor(data.test_labels).long()
        ),
        "parameters": sum(p.numel() for p in network.parameters()),
        "processor_seconds": time.process_time() - start,
    }
    RESULTS.mkdir(exist_ok=True)
    save_file(network.state_dict(), RESULTS / WEIGHTS)
    save("fashion_classifier", found)
    print(
        f"test accuracy {found['test_accuracy']:.4f}, {found['parameters']:,} parameters, "
        f"{found['processor_seconds']:.0f} s of processor time"
    )
    return found


def main(arguments: list[str]) -> None:
    torch.set_num_threads(1)
    fit(load("fashion-mnist"))
