"""The hyperparameters of the deep network and its contrastive training. Pure.

docs/decisions/0040-deep-architecture.md describes how they were found.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Sizes, views, objective and optimizer of the deep architecture.

    Attributes
    ----------
    stem : int
        Channels of the first layer, which has a stride of 4.
    widths : tuple of int
        Channels of the residual stages; each halves the side.
    code_channels : int
        Channels of the grid that is the encoding: 8 x 8 x 64 = 4096.
    antisymmetric_weight : float
        Weight of the half of the encoding that distinguishes a picture from its mirror image.
    head : tuple of int
        Hidden and output units of the head on the pooled features, for training only.
    code_side : int
        Cells per side of the encoding.
    training_px : int
        Side of the pictures that views are cropped from.
    seen_px : int
        Side at which whole pictures are encoded. It is larger, so that objects have the same size
        as in the views, which are crops (Touvron et al., "Fixing the train-test resolution
        discrepancy", NeurIPS 2019).
    framed_px : int
        Side at which crop search encodes a picture, as a crop of a larger one of `seen_px`.
    window : float
        Standard deviation of the bell curve that weights the cells of an encoding, as a share of
        the side. Training views are random crops and are not weighted.
    n_small : int
        Small views of each picture, in addition to two large ones.
    large_px, small_px : int
        Sides of the views.
    large_area, small_area : tuple of float
        Smallest and largest share of the picture that a view shows.
    log_aspect : float
        Views are stretched by up to exp(log_aspect), in either direction.
    light : float
        Brightness and contrast are multiplied by 1 - light to 1 + light.
    saturation : tuple of float
        Smallest and largest factor.
    hue : float
        Largest rotation of the hue, in turns of the colour wheel.
    grey : float
        Share of the views without colour.
    code_temperature, head_temperature, mean_temperature, neighbour_temperature : float
        Divisors of the cosines before the softmax.
    w_code, w_head, w_mean, w_small, w_paint, w_near : float
        Weights of the parts of the loss.
    n_neighbours : int
        Nearest neighbours that the views of a picture are attracted to.
    min_images_a_neighbour : int
        Pictures in the collection per neighbour: a small collection uses fewer neighbours, or none.
    near_from, near_ramp : float
        Shares of the training: when the neighbour loss starts, and how long it takes to reach its
        full weight.
    bank_rows : int
        Encodings in the bank that neighbours are found in.
    bank_memory : float
        Share of the old encoding when a new one is added to it.
    n_painted : int
        Views per step that are reconstructed.
    batch_size : int
        Pictures per step. Each is contrasted with all the others.
    rate : float
        Largest learning rate.
    weight_decay : float
        Of AdamW.
    warm_up_steps : int
        Steps until the learning rate is at its largest.
    finishing_steps : int
        After the encoder is trained, the painter alone learns from whole pictures in their own
        colours for so many steps, but at most a third of the steps before.
    finishing_images : int
        Number of these pictures.
    whitening_floor : float
        Share of the mean variance that is added to the variance of each channel before whitening.
    centre_images : int
        Largest number of pictures that whitening and the mean encoding are estimated from.
    centre_shrink : float
        n / (n + centre_shrink) times the mean of n encodings is subtracted: nearly all of it if n
        is large, little of it if the mean is that of a few pictures.
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
        """Return the side in pixels of one cell of the trunk's grid."""
        return int(4 * 2 ** len(self.widths))
