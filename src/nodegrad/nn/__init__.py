"""Neural networks of Values: modules, layers and losses."""

from nodegrad.nn.layers import MLP, Dropout, Embedding, Layer, LayerNorm, Neuron, Sequential, activations
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
from nodegrad.nn.module import Module, load

__all__ = [
    "LOSSES",
    "MLP",
    "Dropout",
    "Embedding",
    "Layer",
    "LayerNorm",
    "Module",
    "Neuron",
    "Sequential",
    "activations",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "hinge",
    "huber",
    "load",
    "mean_absolute_error",
    "mean_squared_error",
]
