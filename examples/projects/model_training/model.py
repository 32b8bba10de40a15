"""Logistic regression by gradient descent, on made data. Nothing here knows of flows."""

import math
import random
from dataclasses import dataclass

Sample = tuple[float, float, int]  # hours of sun, litres of water, and whether the plant has flowered


def made_data(count: int, seed: int = 7) -> list[Sample]:
    """Plants with more sun and enough water flower, most of them."""
    chance = random.Random(seed)
    samples = []
    for _ in range(count):
        sun, water = chance.uniform(0, 10), chance.uniform(0, 5)
        flowered = sun + 2 * water + chance.gauss(0, 1.5) > 10
        samples.append((sun, water, int(flowered)))
    return samples


@dataclass(frozen=True)
class Model:
    bias: float
    sun: float
    water: float

    def probability(self, sun: float, water: float) -> float:
        return 1 / (1 + math.exp(-(self.bias + self.sun * sun + self.water * water)))

    def accuracy(self, samples: list[Sample]) -> float:
        right = sum((self.probability(sun, water) > 0.5) == bool(flowered) for sun, water, flowered in samples)
        return right / len(samples)


def fitted(samples: list[Sample], *, rate: float, epochs: int) -> Model:
    """The model whose log loss on the samples is low, by `epochs` steps down its gradient."""
    bias = weight_sun = weight_water = 0.0
    for _ in range(epochs):
        model = Model(bias, weight_sun, weight_water)
        errors = [(model.probability(sun, water) - flowered, sun, water) for sun, water, flowered in samples]
        bias -= rate * sum(error for error, _, _ in errors) / len(errors)
        weight_sun -= rate * sum(error * sun for error, sun, _ in errors) / len(errors)
        weight_water -= rate * sum(error * water for error, _, water in errors) / len(errors)
    return Model(bias, weight_sun, weight_water)
