"""Random views of pictures: crops, mirrored or not, in changed colours.

A seed of two numbers determines a view. So the same seed gives the same views, in any order of
steps.
"""

import math
from typing import Any

import numpy as np

from models.network.recipe import Recipe
from models.runtime.quiet import quiet_stderr

with quiet_stderr():
    import tensorflow as tf

# To one axis of brightness and two of colour, and back (Y, I and Q of NTSC).
_TO_YIQ = np.array(
    [[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float32
)
_FROM_YIQ = np.linalg.inv(_TO_YIQ)


def random_views(
    pictures: Any,
    side_px: int,
    area: tuple[float, float],
    recipe: Recipe,
    seed: Any,
    n_views: int = 1,
) -> Any:
    """Crop views from pictures and change their colours.

    Parameters
    ----------
    pictures : tensor of shape (n, side, side, 3), float32
        0..1.
    side_px : int
        Of the views.
    area : tuple of float
        Smallest and largest share of the picture that a view shows.
    recipe : Recipe
    seed : tensor of shape (2,), int32 or int64
        Determines the views.
    n_views : int
        Of each picture.

    Returns
    -------
    tensor of shape (n_views * n, side_px, side_px, 3), float32
        0..1. One view of each picture, then another view of each, and so on.

    Notes
    -----
    Crops and colours as in Chen, Kornblith, Norouzi and Hinton, "A simple framework for
    contrastive learning of visual representations", ICML 2020.
    """
    n = tf.shape(pictures)[0]
    uniform = tf.random.stateless_uniform([n_views * n, 10], seed)
    draws = tf.unstack(uniform, axis=1)  # ten of (n_views * n,), 0..1
    boxes = _boxes(draws[:5], area, recipe.log_aspect)  # (n_views * n, 4)
    of = tf.range(n_views * n) % n
    views = tf.image.crop_and_resize(pictures, boxes, of, [side_px, side_px])
    return _recoloured(views, draws[5:], recipe)  # (n_views * n, side_px, side_px, 3)


def _boxes(draws: list[Any], area: tuple[float, float], log_aspect: float) -> Any:
    """Return boxes (n, 4) as shares: top, left, bottom, right. Left > right mirrors the view."""
    size = tf.sqrt(_between(draws[0], *area))  # (n,)
    slant = tf.exp(_between(draws[1], -log_aspect, log_aspect) / 2)  # (n,)
    height, width = tf.minimum(size * slant, 1.0), tf.minimum(size / slant, 1.0)
    top, left = draws[2] * (1 - height), draws[3] * (1 - width)
    is_mirrored = draws[4] < 0.5
    first = tf.where(is_mirrored, left + width, left)
    last = tf.where(is_mirrored, left, left + width)
    return tf.stack([top, first, top + height, last], 1)  # (n, 4)


def _recoloured(views: Any, draws: list[Any], recipe: Recipe) -> Any:
    """Change saturation and hue by one 3x3 matrix per view, then contrast and brightness."""
    n, side_px = tf.shape(views)[0], views.shape[1]
    is_grey = draws[0] < recipe.grey
    saturation = tf.where(is_grey, 0.0, _between(draws[1], *recipe.saturation))
    hue = 2 * math.pi * _between(draws[2], -recipe.hue, recipe.hue)
    colours = tf.matmul(
        tf.reshape(views, (n, side_px * side_px, 3)), _colour_matrix(saturation, hue)
    )  # (n, side_px², 3)
    mean = tf.reduce_mean(colours, (1, 2), keepdims=True)  # (n, 1, 1)
    contrast, brightness = (
        _between(draw, 1 - recipe.light, 1 + recipe.light)[:, None, None] for draw in draws[3:]
    )
    colours = brightness * (mean + contrast * (colours - mean))
    return tf.reshape(tf.clip_by_value(colours, 0.0, 1.0), (n, side_px, side_px, 3))


def _colour_matrix(saturation: Any, hue: Any) -> Any:
    """Return matrices (n, 3, 3) to multiply RGB rows with, from (n,) and (n,) radians."""
    along, across = saturation * tf.cos(hue), saturation * tf.sin(hue)
    none, one = tf.zeros_like(hue), tf.ones_like(hue)
    turn = [one, none, none, none, along, -across, none, across, along]
    turns = tf.reshape(tf.stack(turn, 1), (-1, 3, 3))  # (n, 3, 3)
    return tf.transpose(_FROM_YIQ @ turns @ _TO_YIQ, (0, 2, 1))


def _between(draw: Any, low: float, high: float) -> Any:
    return low + (high - low) * draw
