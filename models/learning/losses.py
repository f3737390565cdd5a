"""The losses of contrastive training: views of one picture are similar, views of others are not.

Each function takes unit rows and returns a mean cross-entropy in nats. `_cosines` takes nearly all
the time, so it alone can run in bfloat16.
"""

from typing import Any

from models.runtime.quiet import quiet_stderr

with quiet_stderr():
    import tensorflow as tf

_NEVER = 1e9  # subtracted from logits that must not be chosen


def unit(rows: Any) -> Any:
    """Scale rows (n, d) to length 1, as float32."""
    return tf.math.l2_normalize(tf.cast(rows, tf.float32), 1)


def info_nce(views: Any, temperature: float, dtype: Any = tf.float32) -> Any:
    """Return the loss of finding the other view of a picture among all other views.

    Parameters
    ----------
    views : tensor of shape (2n, d), float32
        Unit rows; row i and row n + i are views of the same picture.
    temperature : float
    dtype : tf.DType
        Of the cosines with the other views.

    Returns
    -------
    scalar tensor, float32
        0 for n = 1, because there is no other picture.

    Notes
    -----
    NT-Xent of SimCLR: Chen, Kornblith, Norouzi and Hinton, ICML 2020; InfoNCE of van den Oord,
    Li and Vinyals 2018, arXiv 1807.03748.
    """
    n_views = views.shape[0]
    logits = _cosines(views, views, dtype) / temperature  # (2n, 2n)
    others = tf.reduce_logsumexp(logits - _NEVER * tf.eye(n_views), 1)  # (2n,)
    partner = tf.roll(views, n_views // 2, 0)  # (2n, d)
    return tf.reduce_mean(others - tf.reduce_sum(views * partner, 1) / temperature)


def small_view_loss(small: Any, large: Any, temperature: float) -> Any:
    """Return the loss of finding the large views of a picture from its small views.

    Parameters
    ----------
    small : tensor of shape (m * n, d), float32
        Unit rows; rows i, n + i, 2n + i, ... are small views of picture i.
    large : tensor of shape (2n, d), float32
        Unit rows; rows i and n + i are its large views.
    temperature : float

    Returns
    -------
    scalar tensor, float32
        At least ln 2: there are two correct answers, each with a target probability of one half.

    Notes
    -----
    Only from small crops to large ones, as the multi-crop of Caron et al., "Unsupervised learning
    of visual features by contrasting cluster assignments" (SwAV), NeurIPS 2020.
    """
    n = large.shape[0] // 2
    choice = tf.nn.log_softmax(tf.matmul(small, large, transpose_b=True) / temperature, 1)
    right = tf.one_hot(tf.range(small.shape[0]) % n, n)  # (m * n, n)
    return -tf.reduce_mean(tf.reduce_sum(choice * tf.concat([right, right], 1) / 2, 1))


def neighbour_loss(
    views: Any,
    pictures: Any,
    bank: Any,
    slots: Any,
    n_neighbours: int,
    temperature: float,
    dtype: Any = tf.float32,
) -> Any:
    """Return the loss of finding the nearest neighbours of a picture from its views.

    Parameters
    ----------
    views : tensor of shape (2n, d), float32
        Unit rows; row i and row n + i are views of picture i.
    pictures : tensor of shape (n, d), float32
        Encoding of each picture to find its neighbours with. No gradient.
    bank : tensor of shape (m, d), any float type
        Unit rows of earlier pictures. No gradient.
    slots : tensor of shape (n,), int32
        Place of each picture itself in the bank, so it is not its own neighbour; -1: none.
    n_neighbours : int
        Less than m.
    temperature : float
    dtype : tf.DType
        Of the cosines.

    Returns
    -------
    scalar tensor, float32

    Notes
    -----
    Neighbours as positives as in Dwibedi et al., "With a little help from my friends" (NNCLR),
    ICCV 2021; several of them as in Koohpayegani, Tejankar and Pirsiavash, "Mean shift for
    self-supervised learning" (MSF), ICCV 2021.
    """
    own = tf.one_hot(slots, bank.shape[0])  # (n, m), a row of zeros for -1
    near = _cosines(tf.stop_gradient(pictures), bank, dtype) - 4.0 * own  # (n, m)
    chosen = tf.math.top_k(near, n_neighbours).indices  # (n, n_neighbours)
    # The mean of the cosines is the cosine with the mean, so no gather needs a gradient.
    target = tf.reduce_mean(tf.cast(tf.gather(bank, chosen), tf.float32), 1)  # (n, d)
    liked = tf.reduce_sum(views * tf.tile(target, [2, 1]), 1) / temperature  # (2n,)
    logits = _cosines(views, bank, dtype) / temperature - _NEVER * tf.tile(own, [2, 1])
    return tf.reduce_mean(tf.reduce_logsumexp(logits, 1) - liked)


def _cosines(one: Any, other: Any, dtype: Any) -> Any:
    """Return the inner products of all pairs of rows, (n, m) float32."""
    products = tf.matmul(tf.cast(one, dtype), tf.cast(other, dtype), transpose_b=True)
    return tf.cast(products, tf.float32)
