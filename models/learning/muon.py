"""The optimizer: Muon for inner kernels, AdamW for all other weights.

Muon: K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; its steps
scaled as large as AdamW's after Liu et al. 2025, arXiv 2502.16982. AdamW: Loshchilov and Hutter,
"Decoupled weight decay regularization", ICLR 2019.
"""

from typing import Any

from models.runtime.quiet import quiet_stderr

with quiet_stderr():
    import tensorflow as tf

MIN_OUTPUTS = 64  # for kernels with fewer, Muon is not worth its cost
MOMENTUM = 0.95
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7
SIZE = 0.2  # root mean square of a step over the learning rate, as with AdamW
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class MuonAdamW:
    """Updates weights by their gradients, with moments.

    Parameters
    ----------
    weights : list of variable
        The trained weights, always in this order.
    weight_decay : float
        For the weights of AdamW only.
    dtype : tf.DType
        To orthogonalise steps in.

    Attributes
    ----------
    variables : list of tf.Variable
        The whole state; the first one counts steps.
    """

    def __init__(self, weights: list[Any], weight_decay: float, dtype: Any = tf.float32) -> None:
        self._weights, self._weight_decay, self._dtype = weights, weight_decay, dtype
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._first = [_zeros(weight) for weight in weights]
        self._second = [None if is_inner_kernel(weight) else _zeros(weight) for weight in weights]
        second = [moment for moment in self._second if moment is not None]
        self.variables = [self._step, *self._first, *second]

    @property
    def step(self) -> int:
        """Return the number of steps done."""
        return int(self._step.numpy())

    def apply(self, gradients: list[Any], rate: Any) -> None:
        """Do one step.

        Parameters
        ----------
        gradients : list of tensor
            In the order of the weights.
        rate : scalar tensor, float32
            The learning rate.
        """
        count = tf.cast(self._step.assign_add(1), tf.float32)
        correction = tf.sqrt(1 - BETA_2**count) / (1 - BETA_1**count)
        moments = zip(self._weights, gradients, self._first, self._second, strict=True)
        for weight, gradient, first, second in moments:
            gradient = tf.cast(gradient, tf.float32)
            if second is None:
                self._muon(weight, gradient, first, rate)
            else:
                self._adamw(weight, gradient, first, second, rate, correction)

    def _muon(self, weight: Any, gradient: Any, first: Any, rate: Any) -> None:
        first.assign(MOMENTUM * first + gradient)
        ahead = gradient + MOMENTUM * first  # Nesterov momentum
        matrix = tf.reshape(ahead, (-1, weight.shape[-1]))  # (inputs, outputs)
        size = SIZE * max(matrix.shape) ** 0.5
        step = tf.reshape(orthogonalised(matrix, self._dtype), weight.shape)
        weight.assign(weight - rate * size * step)

    def _adamw(
        self, weight: Any, gradient: Any, first: Any, second: Any, rate: Any, correction: Any
    ) -> None:
        first.assign(first + (1 - BETA_1) * (gradient - first))
        second.assign(second + (1 - BETA_2) * (tf.square(gradient) - second))
        step = correction * first / (tf.sqrt(second) + EPSILON)
        weight.assign(weight - rate * (step + self._weight_decay * weight))


def is_inner_kernel(weight: Any) -> bool:
    """Return whether a weight is a matrix between features: a kernel whose input is not pixels."""
    shape = tuple(weight.shape)
    has_pixel_input = len(shape) == 4 and shape[2] == 3
    return len(shape) >= 2 and shape[-1] >= MIN_OUTPUTS and not has_pixel_input


def orthogonalised(matrix: Any, dtype: Any = tf.float32) -> Any:
    """Return approximately U V^T of a matrix U S V^T: all singular values are 0.7 to 1.2.

    Parameters
    ----------
    matrix : tensor of shape (n, m), float32
    dtype : tf.DType
        Of the products.

    Returns
    -------
    tensor of shape (n, m), float32

    Notes
    -----
    Five steps of a Newton-Schulz iteration with Jordan's coefficients, on the shorter side.
    Singular values below about a thousandth of the largest stay smaller.
    """
    is_tall = matrix.shape[0] > matrix.shape[1]
    wide = tf.transpose(matrix) if is_tall else matrix
    x = tf.cast(wide / (tf.norm(wide) + EPSILON), dtype)
    a, b, c = _NEWTON_SCHULZ
    for _ in range(5):
        square = tf.matmul(x, x, transpose_b=True)
        x = a * x + tf.matmul(b * square + c * tf.matmul(square, square), x)
    x = tf.cast(x, tf.float32)
    return tf.transpose(x) if is_tall else x


def _zeros(weight: Any) -> Any:
    return tf.Variable(tf.zeros(weight.shape, tf.float32), trainable=False)
