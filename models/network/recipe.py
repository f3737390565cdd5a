"""Every number that the deep network and its contrastive training are made of, in one place. Pure.

How each was found is told in docs/decisions/0040-deep-architecture.md.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Sizes, views, objective and optimizer of the deep architecture.

    Attributes
    ----------
    stem : int
        Channels that 4x4 pixels become at first.
    widths : tuple of int
        Channels of the residual stages; each halves the side.
    code_channels : int
        Channels of the grid that is the encoding: 8 x 8 x 64 = 4096.
    antisymmetric_weight : float
        Of the half of the encoding that tells a picture from its mirror image.
    head : tuple of int
        Layers between the pooled features and what is contrasted; for training only.
    code_side : int
        Cells of the encoding, down and across.
    training_px : int
        Side of the pictures that views are cut from.
    seen_px : int
        Side at which whole pictures are encoded: larger, so that things appear as large as in the
        views, which show pieces (Touvron et al., "Fixing the train-test resolution discrepancy",
        NeurIPS 2019).
    framed_px : int
        Side at which a picture is seen that may be a piece of a larger one, of `seen_px`.
    window : float
        What is in the middle counts most: standard deviation of the bell curve that cells are
        weighted by in use, as a share of the side. Views are random pieces and not weighted.
    n_small : int
        Small views of each picture, beside the two large ones.
    large_px, small_px : int
        Sides of the views.
    large_area, small_area : tuple of float
        Least and greatest share of the picture that a view shows.
    log_aspect : float
        Views are stretched by up to exp of it, in either direction.
    light : float
        Brightness and contrast are multiplied with 1 - light to 1 + light.
    saturation : tuple of float
        Least and greatest factor.
    hue : float
        Colours are turned by up to so many turns of the colour wheel.
    grey : float
        Share of the views without colour.
    code_temperature, head_temperature, mean_temperature, neighbour_temperature : float
        What cosines are divided by before the softmax.
    w_code, w_head, w_mean, w_small, w_paint, w_near : float
        Weights of the parts of the loss.
    n_neighbours : int
        Pictures that each picture's views are drawn to.
    min_images_a_neighbour : int
        In a small collection there are fewer neighbours, or none.
    near_from, near_ramp : float
        Shares of the training: when neighbours begin to count, and until they count fully.
    bank_rows : int
        Encodings that are remembered, to find neighbours among.
    bank_memory : float
        Share of the old encoding in the new one.
    n_painted : int
        Views a step that are reconstructed.
    batch_size : int
        Pictures a step; all the others of it are what a picture is contrasted with.
    rate : float
        Greatest learning rate.
    weight_decay : float
        Of AdamW.
    warm_up_steps : int
        Steps until the rate is at its greatest.
    finishing_steps : int
        Steps, at most, in which the painter alone learns from whole pictures in their own colours,
        after the encoder is done; at most a third of the steps before.
    finishing_images : int
        How many of them.
    whitening_floor : float
        Share of the mean variance that is added to each channel's before they are made equal.
    centre_images : int
        Pictures, at most, that whitening and the centre of the encodings are taken from.
    centre_shrink : float
        The mean of n encodings is taken away n / (n + centre_shrink) times: all of it where it is
        well known, none where it would be the encoding of the only picture.
    """

    stem: int = 48
    widths: tuple[int, ...] = (64, 128)
    code_channels: int = 64
    antisymmetric_weight: float = 0.3
    head: tuple[int, int] = (256, 128)
    code_side: int = 8
    training_px: int = 128
    seen_px: int = 192
    framed_px: int = 160
    window: float = 0.8

    n_small: int = 4
    large_px: int = 96
    small_px: int = 48
    large_area: tuple[float, float] = (0.35, 1.0)
    small_area: tuple[float, float] = (0.06, 0.3)
    log_aspect: float = 0.28
    light: float = 0.6
    saturation: tuple[float, float] = (0.0, 2.0)
    hue: float = 0.1
    grey: float = 0.3

    code_temperature: float = 0.1
    head_temperature: float = 0.2
    mean_temperature: float = 0.2
    neighbour_temperature: float = 0.1
    w_code: float = 1.0
    w_head: float = 1.0
    w_mean: float = 1.0
    w_small: float = 2.0
    w_paint: float = 10.0
    w_near: float = 1.0
    n_neighbours: int = 10
    min_images_a_neighbour: int = 20
    near_from: float = 0.2
    near_ramp: float = 0.1
    bank_rows: int = 8192
    bank_memory: float = 0.5
    n_painted: int = 64

    batch_size: int = 192
    rate: float = 2e-3
    weight_decay: float = 1e-4
    warm_up_steps: int = 50
    finishing_steps: int = 150
    finishing_images: int = 512
    whitening_floor: float = 0.05
    centre_images: int = 2048
    centre_shrink: float = 32.0

    @property
    def cell_px(self) -> int:
        """Return the side of the square of pixels that becomes one cell of what is seen."""
        return int(4 * 2 ** len(self.widths))
