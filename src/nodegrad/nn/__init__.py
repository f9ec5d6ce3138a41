"""Neural networks of Values: modules, layers and losses."""

from nodegrad.nn.layers import MLP, Layer, Neuron, activations
from nodegrad.nn.losses import (
    LOSSES,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    hinge,
    huber,
    mean_absolute_error,
    mean_squared_error,
)
from nodegrad.nn.module import Module

__all__ = [
    "LOSSES",
    "MLP",
    "Layer",
    "Module",
    "Neuron",
    "activations",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "hinge",
    "huber",
    "mean_absolute_error",
    "mean_squared_error",
]
