"""Contrastive learning: views of one picture get similar encodings, views of others do not.

Each picture gives two large and several small random views. A large view has to find the other
large view of its picture in the batch: by its encoding (which search uses), by the mean of the
encoding over the cells, and by a head on the pooled features. A small view has to find its picture.
Later in training, a view also has to find the nearest neighbours of its picture. A painter
reconstructs views. See docs/decisions/0040-deep-architecture.md.
"""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.autoencoder import (
    Architecture,
    build_head,
    build_painter,
    build_trunk,
    set_centre,
    set_whitening,
    uncentred_encodings,
    unwhitened_grids,
)
from models.learning.batches import Split, distinct_rows
from models.learning.learner import Arrays, Learner, Pictures
from models.learning.losses import info_nce, neighbour_loss, small_view_loss, unit
from models.learning.muon import MuonAdamW
from models.learning.schedule import cosine_rate, ramp
from models.learning.views import random_views
from models.network.grid_layers import EqualLength, Fold
from models.network.recipe import Recipe
from models.runtime.quiet import quiet_stderr

with quiet_stderr():
    import keras
    import tensorflow as tf

CPUINFO = Path("/proc/cpuinfo")
_VALIDATION_SEED = -1  # of the views for validation, always the same
_FINISHING_STEP = 0.2  # of the time to encode a batch; measured: 0.1 to 0.15


class ContrastiveLearner(Learner):
    """Learns by contrasting views, with Muon and AdamW, at a rate that falls to 0.

    It trains on all pictures: there are no labels to overfit to, and the pictures of the collection
    are those that users will look for. Validation uses a sample of them.

    Parameters
    ----------
    architecture : Architecture
        With a recipe.
    n_images : int
    batch_size : int or None
    seed : int
        Of the first weights, the order of pictures and the views.
    has_bfloat16 : bool
        Compute in bfloat16 where it costs no quality. Weights and results stay float32.
    """

    ends_by_loss = False
    max_epochs = 400
    max_steps_of_few = 1500

    def __init__(
        self,
        architecture: Architecture,
        n_images: int,
        batch_size: int | None,
        seed: int,
        has_bfloat16: bool,
    ) -> None:
        assert architecture.recipe is not None
        keras.utils.set_random_seed(seed)
        self._recipe, self._seed, self._n_images = architecture.recipe, seed, n_images
        self.side_px = self._recipe.training_px
        self.finishing_side_px = architecture.input_side_px
        self.warm_up_steps = self._recipe.warm_up_steps
        self.batch_size = min(batch_size or self._recipe.batch_size, n_images)
        self.split = _everything(n_images, self.batch_size, seed)
        self._dtype = tf.bfloat16 if has_bfloat16 else tf.float32
        self.autoencoder = architecture.build()
        self._make_parts("mixed_bfloat16" if has_bfloat16 else "float32")
        self._bank = Bank(n_images, self._recipe, seed)
        self._make_graphs()

    def _make_parts(self, policy: str) -> None:
        """Make the trained parts: trunk and painter in training precision, and a head."""
        recipe = self._recipe
        self._trunk = build_trunk(recipe, policy)
        self._painter = build_painter(recipe, policy)
        self._head = build_head(recipe, policy)
        self._fold, self._equal = Fold(recipe.antisymmetric_weight), EqualLength()
        parts = (self._trunk, self._painter, self._head)
        self._trained = [weight for part in parts for weight in part.trainable_variables]
        self._kept = [weight for part in parts for weight in part.variables]
        self._optimizer = MuonAdamW(self._trained, recipe.weight_decay, self._dtype)

    def _make_graphs(self) -> None:
        side, n = self.side_px, self.batch_size
        pictures = tf.TensorSpec((n, side, side, 3), tf.float32)
        slots, number = tf.TensorSpec((n,), tf.int32), tf.TensorSpec((), tf.float32)
        self._learn_graph = tf.function(
            self._learn, input_signature=[pictures, slots, slots, number, number]
        )
        self._validate_graph = tf.function(self._validate, input_signature=[pictures])
        some = tf.TensorSpec((None, side, side, 3), tf.float32)
        self._encode_graph = tf.function(self._encode, input_signature=[some])
        large = tf.TensorSpec((None, *[self.finishing_side_px] * 2, 3), tf.float32)
        self._grids_graph = tf.function(
            partial(unwhitened_grids, self.autoencoder), input_signature=[large]
        )
        self._encodings_graph = tf.function(
            partial(uncentred_encodings, self.autoencoder), reduce_retracing=True
        )

    # ---------------------------------------------------------------- as every learner

    @property
    def step(self) -> int:
        """Return the optimizer's count."""
        return self._optimizer.step

    def steps_per_epoch(self) -> int:
        """Return the whole batches in an epoch; which pictures are left over differs."""
        return self._n_images // self.batch_size

    def rows(self, step: int) -> NDArray[np.int64]:
        """Return rows without repeats, so that a picture is never contrasted with itself."""
        return distinct_rows(self.split.training, self.batch_size, self._seed, step)

    def learn(self, pictures: Pictures, share: float) -> dict[str, float]:
        """Do a step."""
        recipe, step = self._recipe, self.step
        own, new = self._bank.places(step, self.rows(step))
        rate = cosine_rate(recipe.rate, recipe.warm_up_steps, step, share)
        w_near = recipe.w_near * ramp(share, recipe.near_from, recipe.near_ramp)
        numbers = (np.float32(rate), np.float32(w_near))
        parts = self._learn_graph(pictures, own, new, *numbers)
        return {name: float(value) for name, value in parts.items()}

    def validate(self, pictures: Pictures) -> float:
        """Return the loss, without the neighbour part, of views that are always the same."""
        return float(self._validate_graph(pictures))

    def encode(self, pictures: Pictures) -> NDArray[np.float32]:
        """Return the encodings of the autoencoder, in float32."""
        self._hand_over()
        encodings: NDArray[np.float32] = self._encode_graph(pictures).numpy()
        return encodings

    def weights(self) -> Arrays:
        """Return the weights of trunk, painter and head."""
        return [weight.numpy() for weight in self._kept]

    def memory(self) -> Arrays:
        """Return the bank and the optimizer's state."""
        return [
            self._bank.encodings.numpy(),
            *(value.numpy() for value in self._optimizer.variables),
        ]

    def restore(self, weights: Arrays, memory: Arrays) -> None:
        """Set weights, bank and the optimizer's state."""
        variables = [*self._kept, self._bank.encodings, *self._optimizer.variables]
        for variable, value in zip(variables, [*weights, *memory], strict=True):
            variable.assign(value)

    def rows_to_finish(self) -> NDArray[np.int64]:
        """Return a sample to estimate whitening and the centre of all encodings from."""
        n = min(self._n_images, self._recipe.centre_images)
        return np.linspace(0, self._n_images - 1, n).astype(np.int64)

    def batches_to_finish(self, n_steps: int) -> float:
        """Return the batches of the sample, plus the time of the finishing steps."""
        n_steps = self._n_finishing_steps(n_steps)
        return len(self.rows_to_finish()) / self.batch_size + _FINISHING_STEP * n_steps

    def finish(self, batches: Iterable[Pictures]) -> None:
        """Set weights, whitening and centre of the autoencoder, and train its painter further."""
        every = -(-len(self.rows_to_finish()) // self._recipe.finishing_images)
        self._hand_over()
        grids, kept = [], []
        n_seen = 0
        for pictures in batches:
            grids.append(self._grids_graph(pictures).numpy())
            some = pictures[-n_seen % every :: every]  # every `every`-th picture, over all batches
            kept.append(_smaller(some, self.side_px).astype(np.float16))
            n_seen += len(pictures)
        set_whitening(self.autoencoder, np.concatenate(grids), self._recipe.whitening_floor)
        encodings = [self._encodings_graph(rows).numpy() for rows in grids]
        self._finish_painter(np.concatenate(encodings)[::every], np.concatenate(kept))
        total = sum(rows.sum(0, dtype=np.float64) for rows in encodings)
        n = sum(map(len, encodings)) + self._recipe.centre_shrink
        set_centre(self.autoencoder, (total / n).astype(np.float32))

    # ---------------------------------------------------------------- its own

    def _learn(self, pictures: Any, own: Any, new: Any, rate: Any, w_near: Any) -> Any:
        step = tf.cast(self._optimizer.variables[0], tf.int64)
        with tf.GradientTape() as tape:
            parts, views = self._parts(pictures, step, training=True)
            known = self._bank.known(own, views)  # (n, d)
            if self._bank.n_neighbours:
                parts["near"] = w_near * self._near_loss(views, known, own)
            parts["loss"] = tf.add_n(list(parts.values()))
        self._optimizer.apply(tape.gradient(parts["loss"], self._trained), rate)
        self._bank.remember(known, views, new)
        return parts

    def _validate(self, pictures: Any) -> Any:
        step = tf.constant(_VALIDATION_SEED, tf.int64)
        parts, _ = self._parts(pictures, step, training=False)
        return tf.add_n(list(parts.values()))

    def _parts(self, pictures: Any, step: Any, training: bool) -> tuple[dict[str, Any], Any]:
        """Return the parts of the loss, and the unit encodings of the large views, (2n, d)."""
        recipe, n = self._recipe, self.batch_size
        large, small = self._views(pictures, step)
        grid, pooled = self._trunk(large, training=training)  # (2n, 6, 6, 64), (2n, 128)
        small_grid, _ = self._trunk(small, training=training)  # (4n, 3, 3, 64)
        views = unit(tf.reshape(self._fold(grid), (2 * n, -1)))  # (2n, 2304)
        mean, small_mean = (unit(tf.reduce_mean(g, (1, 2))) for g in (grid, small_grid))
        head = unit(self._head(pooled, training=training))  # (2n, 128)
        parts = {
            "code": recipe.w_code * info_nce(views, recipe.code_temperature, self._dtype),
            "head": recipe.w_head * info_nce(head, recipe.head_temperature),
            "mean": recipe.w_mean * info_nce(mean, recipe.mean_temperature),
            "small": recipe.w_small * small_view_loss(small_mean, mean, recipe.mean_temperature),
            "paint": recipe.w_paint * self._paint_loss(grid, large, training),
        }
        return parts, views

    def _views(self, pictures: Any, step: Any) -> tuple[Any, Any]:
        """Return large views (2n, 96, 96, 3) and small ones (4n, 48, 48, 3)."""
        recipe, seed = self._recipe, tf.constant(self._seed, tf.int64)
        large, small = tf.stack([seed, 2 * step]), tf.stack([seed, 2 * step + 1])
        return (
            random_views(pictures, recipe.large_px, recipe.large_area, recipe, large, 2),
            random_views(
                pictures, recipe.small_px, recipe.small_area, recipe, small, recipe.n_small
            ),
        )

    def _paint_loss(self, grid: Any, large: Any, training: bool) -> Any:
        """Return the mean squared error of some views, half of them first views."""
        half = min(self._recipe.n_painted // 2, self.batch_size)
        some = slice(self.batch_size - half, self.batch_size + half)
        painted = self._painter(self._equal(grid[some]), training=training)  # (64, 96, 96, 3)
        return tf.reduce_mean(tf.square(painted - large[some]))

    def _near_loss(self, views: Any, known: Any, own: Any) -> Any:
        bank, temperature = self._bank, self._recipe.neighbour_temperature
        return neighbour_loss(
            views, known, bank.encodings, own, bank.n_neighbours, temperature, self._dtype
        )

    def _encode(self, pictures: Any) -> Any:
        encodings = self.autoencoder.get_layer("encoder")(pictures, training=False)  # (b, 8, 8, 64)
        return tf.reshape(encodings, (tf.shape(pictures)[0], -1))  # (b, 4096)

    def _hand_over(self) -> None:
        """Copy the trunk to the autoencoder, which computes in float32."""
        _copy(self._trunk, self.autoencoder.get_layer("encoder").get_layer("trunk"))

    def _finish_painter(
        self, encodings: NDArray[np.float32], pictures: NDArray[np.float16]
    ) -> None:
        """Train the painter on the colours of whole pictures, which views change."""
        decoder = self.autoencoder.get_layer("decoder")
        painter = decoder.get_layer("painter")
        _copy(self._painter, painter)
        n_steps = self._n_finishing_steps(self.step)
        weights = painter.trainable_variables
        optimizer = MuonAdamW(weights, self._recipe.weight_decay)
        rng = np.random.default_rng([self._seed, self.step])

        def learn(rows: Any, targets: Any, rate: Any) -> None:
            with tf.GradientTape() as tape:
                painted = decoder(rows, training=True)  # (b, 256, 256, 3)
                block = painted.shape[1] // targets.shape[1]
                painted = tf.nn.avg_pool2d(painted, block, block, "VALID")  # (b, 128, 128, 3)
                loss = tf.reduce_mean(tf.square(painted - targets))
            optimizer.apply(tape.gradient(loss, weights), rate)

        learn_graph = tf.function(learn)
        for step in range(n_steps):
            some = rng.permutation(len(pictures))[: self._recipe.n_painted]
            rate = cosine_rate(self._recipe.rate, 1, step, step / n_steps)
            learn_graph(encodings[some], pictures[some].astype(np.float32), np.float32(rate))

    def _n_finishing_steps(self, n_steps: int) -> int:
        return min(self._recipe.finishing_steps, n_steps // 3)


class Bank:
    """Encodings of earlier pictures, in which the nearest neighbours of a picture are found.

    Parameters
    ----------
    n_images : int
        In the collection.
    recipe : Recipe
    seed : int
        Of the first rows, which are random.

    Attributes
    ----------
    encodings : tf.Variable of shape (m, d), float16
        Unit rows, at most `recipe.bank_rows`.
    n_neighbours : int
        Neighbours of each picture; fewer in a small collection, or 0.
    """

    def __init__(self, n_images: int, recipe: Recipe, seed: int) -> None:
        n_cells = (recipe.large_px // recipe.cell_px) ** 2
        self._n_rows = min(n_images, recipe.bank_rows)
        self._has_row_for_each = self._n_rows == n_images
        self._memory = recipe.bank_memory
        first = tf.random.stateless_normal(
            (self._n_rows, n_cells * recipe.code_channels), [seed, 0]
        )
        self.encodings = tf.Variable(tf.cast(unit(first), tf.float16), trainable=False)
        self.n_neighbours = min(recipe.n_neighbours, n_images // recipe.min_images_a_neighbour)

    def places(
        self, step: int, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return where the pictures of a step are in the bank (-1: nowhere), and where they go.

        Each picture has its own row if the bank is large enough. Otherwise new ones replace the
        oldest.
        """
        if self._has_row_for_each:
            own = rows.astype(np.int32)
            return own, own
        places = step * len(rows) + np.arange(len(rows))
        return np.full(len(rows), -1, np.int32), (places % self._n_rows).astype(np.int32)

    def known(self, own: Any, views: Any) -> Any:
        """Return unit rows to find neighbours with, (n, d): from the bank, else from the views."""
        n = views.shape[0] // 2
        seen = tf.stop_gradient(unit(views[:n] + views[n:]))
        remembered = tf.cast(tf.gather(self.encodings, tf.maximum(own, 0)), tf.float32)
        return tf.where(own[:, None] < 0, seen, remembered)

    def remember(self, known: Any, views: Any, new: Any) -> None:
        """Add what large views, (2n, d), show of n pictures to what was known of them."""
        n = views.shape[0] // 2
        seen = (views[:n] + views[n:]) / 2  # (n, d)
        rows = tf.cast(unit(self._memory * known + (1 - self._memory) * seen), tf.float16)
        self.encodings.scatter_update(tf.IndexedSlices(rows, new))


def _smaller(pictures: Pictures, side_px: int) -> Pictures:
    """Return means of blocks, (b, side_px, side_px, 3)."""
    n, side = pictures.shape[:2]
    block = side // side_px
    means: Pictures = pictures.reshape(n, side_px, block, side_px, block, 3).mean((2, 4))
    return means


def _copy(trained: keras.Model, target: keras.Model) -> None:
    for variable, value in zip(target.variables, trained.variables, strict=True):
        variable.assign(value)


def _everything(n_images: int, n_sample: int, seed: int) -> Split:
    """Train on all rows; validate on a sample of them."""
    order = np.random.default_rng([seed, 0]).permutation(n_images)
    return Split(np.arange(n_images), np.sort(order[:n_sample]))


def has_bfloat16() -> bool:
    """Return whether this CPU has bfloat16 instructions; without them bfloat16 is slower."""
    try:
        with CPUINFO.open(encoding="ascii", errors="replace") as file:
            flags = next((line for line in file if line.startswith("flags")), "")
    except OSError:  # not Linux
        return False
    return bool({"avx512_bf16", "amx_bf16"} & set(flags.split()))
