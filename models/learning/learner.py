"""Learners: a network and the objective that it is trained for.

`training` counts steps and minutes and keeps checkpoints. A `Learner` knows the objective. There
are two: `ReconstructionLearner` here, and `ContrastiveLearner` in `contrastive_learner`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.autoencoder import Architecture
from models.learning.batches import Split, batch_rows, split_rows
from models.runtime.quiet import quiet_stderr

with quiet_stderr():
    import keras
    import tensorflow as tf

Pictures = NDArray[np.float32]
Arrays = list[NDArray[Any]]


class Learner(ABC):
    """An autoencoder during its training.

    Attributes
    ----------
    autoencoder : keras.Model
        The result.
    side_px : int
        Of the pictures to learn from, (b, side_px, side_px, 3) in 0..1.
    finishing_side_px : int
        Of the pictures that `finish` gets.
    split : Split
        Rows for training and for validation.
    batch_size : int
        Pictures per step.
    warm_up_steps : int
        Steps that are the same whatever the length of the training.
    ends_by_loss : bool
        True: the weights with the smallest validation loss are the best, and training stops when
        the loss no longer falls. False: the last weights are, at the end of the schedule.
    max_epochs, max_steps_of_few : int
        Limit of a training whose settings name neither epochs nor steps: so many epochs, or so
        many steps if that is more.
    """

    autoencoder: keras.Model
    side_px: int
    finishing_side_px: int
    split: Split
    batch_size: int
    warm_up_steps: int
    ends_by_loss: bool
    max_epochs: int
    max_steps_of_few: int

    @property
    @abstractmethod
    def step(self) -> int:
        """Return the number of steps done, counted inside the step, so an interrupt is safe."""

    @abstractmethod
    def steps_per_epoch(self) -> int:
        """Return the number of steps that use (nearly) every picture once."""

    @abstractmethod
    def rows(self, step: int) -> NDArray[np.int64]:
        """Return the rows of the pictures of a step, (batch_size,), the same on every call."""

    @abstractmethod
    def learn(self, pictures: Pictures, share: float) -> dict[str, float]:
        """Do a step on the pictures of `rows(step)`, after this share (0..1) of the training.

        Returns
        -------
        dict of str to float
            The loss as "loss", and its parts if it has any.
        """

    @abstractmethod
    def validate(self, pictures: Pictures) -> float:
        """Return the loss of pictures without learning from them."""

    @abstractmethod
    def encode(self, pictures: Pictures) -> NDArray[np.float32]:
        """Return encodings, (b, dim)."""

    @abstractmethod
    def weights(self) -> Arrays:
        """Return all weights that are trained, and the statistics of normalisation."""

    @abstractmethod
    def memory(self) -> Arrays:
        """Return the state beside the weights that the next step depends on."""

    @abstractmethod
    def restore(self, weights: Arrays, memory: Arrays) -> None:
        """Set what `weights` and `memory` returned."""

    def rows_to_finish(self) -> NDArray[np.int64]:
        """Return the rows of the pictures that `finish` needs."""
        return np.empty(0, np.int64)

    def batches_to_finish(self, n_steps: int) -> float:
        """Return the time that `finish` takes, as a number of encoded batches."""
        return 0.0

    def finish(self, batches: Iterable[Pictures]) -> None:
        """Complete `autoencoder` after the last step."""
        for _ in batches:
            raise AssertionError("this learner needs no pictures to finish")


class ReconstructionLearner(Learner):
    """Learns to reconstruct pictures, by Adam (Kingma and Ba 2015) at a constant rate.

    Parameters
    ----------
    architecture : Architecture
    n_images : int
    validation_share : float
    batch_size : int or None
    seed : int
        Of the first weights, the split and the order of pictures.
    """

    warm_up_steps = 0
    ends_by_loss = True
    max_epochs = 50
    max_steps_of_few = 2500

    def __init__(
        self,
        architecture: Architecture,
        n_images: int,
        validation_share: float,
        batch_size: int | None,
        seed: int,
    ) -> None:
        keras.utils.set_random_seed(seed)
        self._loss, self._seed = architecture.loss, seed
        self.split = split_rows(n_images, validation_share, seed)
        self.batch_size = min(batch_size or architecture.batch_size, len(self.split.training))
        self.side_px = self.finishing_side_px = architecture.input_side_px
        self.autoencoder = architecture.build()
        self._encoder = self.autoencoder.get_layer("encoder")
        self._optimizer = keras.optimizers.Adam(architecture.learning_rate)
        self._optimizer.build(self.autoencoder.trainable_variables)
        batch = tf.TensorSpec((None, self.side_px, self.side_px, 3), tf.float32)
        self._learn_graph = tf.function(self._learn, input_signature=[batch])
        self._validate_graph = tf.function(self._validate, input_signature=[batch])
        self._encode_graph = tf.function(self._encode, input_signature=[batch])

    @property
    def step(self) -> int:
        """Return the optimizer's count."""
        return int(self._optimizer.iterations.numpy())

    def steps_per_epoch(self) -> int:
        """Return the batches of an epoch; the last one may be filled from the next epoch."""
        return -(-len(self.split.training) // self.batch_size)

    def rows(self, step: int) -> NDArray[np.int64]:
        """Return rows cut from an endless sequence of epochs."""
        return batch_rows(self.split.training, self.batch_size, self._seed, step)

    def learn(self, pictures: Pictures, share: float) -> dict[str, float]:
        """Do a step."""
        return {"loss": float(self._learn_graph(pictures))}

    def validate(self, pictures: Pictures) -> float:
        """Return the loss."""
        return float(self._validate_graph(pictures))

    def encode(self, pictures: Pictures) -> NDArray[np.float32]:
        """Return encodings."""
        encodings: NDArray[np.float32] = self._encode_graph(pictures).numpy()
        return encodings

    def weights(self) -> Arrays:
        """Return the weights of the autoencoder."""
        return list(self.autoencoder.get_weights())

    def memory(self) -> Arrays:
        """Return the optimizer's state."""
        return [value.numpy() for value in self._optimizer.variables]

    def restore(self, weights: Arrays, memory: Arrays) -> None:
        """Set both."""
        self.autoencoder.set_weights(weights)
        for variable, value in zip(self._optimizer.variables, memory, strict=True):
            variable.assign(value)

    def _learn(self, pictures: Any) -> Any:
        variables = self.autoencoder.trainable_variables
        with tf.GradientTape() as tape:
            loss = self._loss(partial(self.autoencoder, training=True), pictures)
            total = tf.add_n([loss, *self.autoencoder.losses])
        gradients = tape.gradient(total, variables)
        self._optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    def _validate(self, pictures: Any) -> Any:
        return self._loss(self.autoencoder, pictures)

    def _encode(self, pictures: Any) -> Any:
        encodings = self._encoder(pictures)  # (b, height, width, channels)
        return tf.reshape(encodings, (tf.shape(pictures)[0], -1))  # (b, dim)
