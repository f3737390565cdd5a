"""The command line: reads options, calls one use case, prints what came of it.

Progress goes to stderr, results to stdout. Exit code 0; 1 with one sentence; 2 for usage; 130 when
interrupted.
"""

from __future__ import annotations

import functools
import json
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

import click
from tqdm import tqdm

from index.artefacts.clusters import Clusters
from index.errors import IndexFailure
from index.search.duplicates import DEFAULT_THRESHOLD, describe, duplicate_groups
from index.search.topk import DEFAULT_K
from index.snapshot import KEPT, DataFolder
from index.verification import verify as verify_snapshot
from indexer import pipeline
from indexer import search as searching
from indexer.encoding.choice import encoder_findings
from indexer.errors import IndexerError
from indexer.groups.clustering import ALGORITHMS, ELBOWS, FASTERPAM, KMEDOIDS, Grouping
from indexer.groups.partition import COPY, MODES
from indexer.options import BuildOptions, ReindexOptions, TrainingOptions
from indexer.output import duplicate_lists
from indexer.output import export as exporting
from indexer.output.duplicate_lists import printable
from indexer.quality import evaluate as evaluating
from indexer.quality.altered_copies import DEFAULT_SAMPLE
from indexer.stages import Stages
from models.errors import ModelsError
from models.external.tflite_encoder import KERAS_PREFIX, RANGES

_EXPECTED = (IndexerError, IndexFailure, ModelsError, OSError, MemoryError)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line, and turn every expected error into one sentence."""
    warnings.formatwarning = lambda message, *_, **__: f"Warning: {message}\n"
    try:
        code = cli.main(arguments, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo(
            "\ninterrupted: what was published before is untouched, "
            "the same command goes on from here",
            err=True,
        )
        sys.exit(130)
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        sys.stderr.close()
        sys.exit(0)
    except _EXPECTED as error:
        click.echo(f"Error: {_sentence(error)}", err=True)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)  # --help and --version give a code


def _sentence(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return f"there is not enough memory ({error or 'none could be had'}): close other programs"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _with_options(*options: Callable[..., Any]) -> Callable[..., Any]:
    """Join decorators into one."""
    return lambda command: functools.reduce(lambda c, option: option(c), reversed(options), command)


_data = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data"),
    envvar="LOOKALIKE_DATA",
    show_default=True,
    help="Folder that holds what the indexer makes (or LOOKALIKE_DATA).",
)
_seed = click.option("--seed", default=0, show_default=True, help="Seed of everything random.")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_images = click.argument("images", type=click.Path(path_type=Path))
_metadata = click.option(
    "--metadata",
    type=click.Path(dir_okay=False, path_type=Path),
    help="CSV file, or JSON lines, that says something of the pictures; one column is `path`.",
)
_training = _with_options(
    click.option(
        "--minutes",
        type=click.FloatRange(min=0, min_open=True),
        default=30.0,
        show_default=True,
        help="Train this long at most.",
    ),
    click.option("--epochs", type=click.IntRange(min=1), help="Train this many epochs at most."),
    click.option(
        "--steps",
        type=click.IntRange(min=1),
        help="Train exactly this many steps, whatever the time: repeats an earlier training.",
    ),
    click.option(
        "--architecture",
        type=click.Choice(["deep", "classic"]),
        default="deep",
        show_default=True,
        help="Network to train.",
    ),
    click.option(
        "--objective",
        type=click.Choice(["contrastive", "reconstruction"]),
        help="What it learns: telling pictures apart, too (deep, its default), or only painting "
        "them again (classic's).",
    ),
    click.option("--strict", is_flag=True, help="Fail if any file has to be skipped."),
)


_grouping = _with_options(
    click.option("--clusters", type=click.IntRange(min=1), help="Number of groups; no sweep."),
    click.option(
        "--min-clusters",
        type=click.IntRange(min=1),
        default=2,
        show_default=True,
        help="Fewest groups that the elbow looks at.",
    ),
    click.option(
        "--max-clusters",
        type=click.IntRange(min=1),
        default=100,
        show_default=True,
        help="Most groups that the elbow looks at.",
    ),
    click.option(
        "--algorithm",
        type=click.Choice(ALGORITHMS),
        default=FASTERPAM,
        show_default=True,
        help="How the groups are found.",
    ),
    click.option(
        "--elbow",
        type=click.Choice(ELBOWS),
        default=KMEDOIDS,
        show_default=True,
        help="Curve that the number of groups is read off; kmeans is the original's, "
        "pyclustering takes hours.",
    ),
)


def _group_options(seed: int, options: dict[str, Any]) -> Grouping:
    """Take the options of `_grouping` out of a command's options."""
    names = ("min_clusters", "max_clusters", "algorithm", "elbow")
    chosen = {name: options.pop(name) for name in names}
    return Grouping(n_clusters=options.pop("clusters"), seed=seed, **chosen)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option("0.1.0", prog_name="lookalike")
def cli() -> None:
    """Index a folder of pictures, to find what looks alike."""


@cli.command()
@_images
@_data
@_seed
@_training
@click.option(
    "--top-k",
    type=click.IntRange(min=1),
    default=DEFAULT_K,
    show_default=True,
    help="Neighbours of each picture that are computed beforehand.",
)
@click.option(
    "--encoder",
    help="Encoder to use instead of training: a tflite file, or keras:NAME of keras.applications.",
)
@click.option(
    "--encoder-range",
    type=click.Choice(list(RANGES)),
    help="Pixels that the tflite file was trained on, if no .json beside it says so; else 0..1.",
)
@click.option(
    "--weights",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of weights for keras:NAME, without the top; else the usual ones are fetched.",
)
@click.option("--retrain", is_flag=True, help="Train anew although the collection has an encoder.")
@_metadata
@_grouping
def build(
    images: Path,
    data: Path,
    seed: int,
    metadata: Path | None,
    top_k: int,
    encoder: str | None,
    encoder_range: str | None,
    weights: Path | None,
    retrain: bool,
    **training: Any,
) -> None:
    """Turn the folder IMAGES into a published snapshot: train, encode, find neighbours, group."""
    _check_encoder_options(encoder, encoder_range, weights)
    stages = _stages()
    options = _build_options(
        images,
        seed,
        training,
        top_k=top_k,
        encoder=encoder,
        encoder_range=encoder_range,
        weights=weights,
        retrain=retrain,
        metadata=metadata,
        groups=_group_options(seed, training),
    )
    built = pipeline.build(DataFolder(data), options, stages)
    _say_skipped(built.skipped)
    if built.n_zero_encodings:
        stages.say(f"{built.n_zero_encodings} pictures have an encoding of zero: they look alike")
    if built.check is not None:
        stages.say(f"check: {built.check.recall.sentence()}")
    stages.say(stages.summary())
    click.echo(f"published {built.snapshot_id}: {built.n_images:,} pictures in {data}")


def _check_encoder_options(
    encoder: str | None, encoder_range: str | None, weights: Path | None
) -> None:
    is_keras = encoder is not None and encoder.startswith(KERAS_PREFIX)
    if weights is not None and not is_keras:
        raise click.UsageError(f"--weights goes with --encoder {KERAS_PREFIX}NAME")
    if encoder_range is not None and (encoder is None or is_keras):
        raise click.UsageError("--encoder-range goes with --encoder FILE.tflite")


@cli.command()
@_images
@_data
@_seed
@_training
def train(images: Path, data: Path, seed: int, **training: Any) -> None:
    """Train an encoder on IMAGES, or go on where an interrupted training stopped.

    A later `build` with the same pictures, network and seed takes the encoder over.
    """
    stages = _stages()
    folder = pipeline.train(DataFolder(data), _build_options(images, seed, training), stages)
    stages.say(stages.summary())
    click.echo(str(folder))


def _build_options(
    images: Path, seed: int, training: dict[str, Any], **others: Any
) -> BuildOptions:
    strict = training.pop("strict")
    if (training["architecture"], training["objective"]) == ("classic", "contrastive"):
        raise click.UsageError(
            "the classic network can only learn to paint: --objective contrastive goes with "
            "--architecture deep"
        )
    return BuildOptions(images, seed, TrainingOptions(**training), strict=strict, **others)


def _say_skipped(skipped: list[Any], n_shown: int = 20) -> None:
    if not skipped:
        return
    click.echo(f"skipped {len(skipped):,} {'file' if len(skipped) == 1 else 'files'}:", err=True)
    for one in skipped[:n_shown]:
        click.echo(f"  {one.path}: {one.reason}", err=True)
    if len(skipped) > n_shown:
        click.echo(f"  and {len(skipped) - n_shown:,} more: all are in skipped.json", err=True)


@cli.command()
@click.argument("images", type=click.Path(path_type=Path), required=False)
@_data
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--yes", is_flag=True, help="Go on although over half of the collection is gone.")
@click.option(
    "--retrain",
    is_flag=True,
    help="Train a new encoder, with the options of the last build, and encode everything anew.",
)
@_metadata
@_as_json
def reindex(
    images: Path | None,
    data: Path,
    dry_run: bool,
    yes: bool,
    retrain: bool,
    metadata: Path | None,
    as_json: bool,
) -> None:
    """Bring the collection up to date with its folder, or with the folder IMAGES.

    Only new and changed pictures are encoded, by the same encoder; a moved one keeps its id. A
    metadata file that was given once is read again, and counts for every picture if it has changed.
    """
    stages = _stages()
    if retrain and not dry_run:
        built = pipeline.retrain(DataFolder(data), images, stages, metadata)
        _say_skipped(built.skipped)
        stages.say(stages.summary())
        click.echo(f"published {built.snapshot_id}: {built.n_images:,} pictures in {data}")
        return
    options = ReindexOptions(images, dry_run, yes, metadata)
    _say_update(pipeline.reindex(DataFolder(data), options, stages), stages, as_json)


@cli.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@_data
@_metadata
@_as_json
def add(paths: tuple[Path, ...], data: Path, metadata: Path | None, as_json: bool) -> None:
    """Take single pictures into the collection; they must lie in its folder."""
    stages = _stages()
    _say_update(pipeline.add(DataFolder(data), list(paths), stages, metadata), stages, as_json)


@cli.command()
@click.argument("ids", nargs=-1, required=True)
@_data
@_as_json
def remove(ids: tuple[str, ...], data: Path, as_json: bool) -> None:
    """Take single pictures out of the collection by their ids.

    Their files stay, and `reindex` leaves them out until `add` takes them in again.
    """
    _say_update(pipeline.remove(DataFolder(data), list(ids), stages := _stages()), stages, as_json)


def _say_update(done: pipeline.Reindexed, stages: Stages, as_json: bool) -> None:
    _say_skipped(done.changes.skipped)
    stages.say(stages.summary())
    if as_json:
        click.echo(json.dumps({"snapshot": done.snapshot_id} | done.changes.as_dict()))
        return
    click.echo(done.changes.summary())
    if done.snapshot_id is not None:
        click.echo(f"published {done.snapshot_id}: {done.n_images:,} pictures")


@cli.command()
@_data
@_seed
@_grouping
@click.option("--labels", help="Compare with classes: `folders`, or a CSV file as for `evaluate`.")
@click.option("--column", help="Column of the CSV file that holds the classes.")
@click.option(
    "--sheets",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for a picture sheet of each group, its medoid first.",
)
def cluster(
    data: Path,
    seed: int,
    labels: str | None,
    column: str | None,
    sheets: Path | None,
    **grouping: Any,
) -> None:
    """Group the live snapshot anew, and publish it with these groups.

    The number of groups is read off the elbow of a sweep, unless --clusters says it. Interrupted,
    the old groups stay.
    """
    stages = _stages()
    known = None if labels is None else (labels, column)
    how = _group_options(seed, grouping)
    found = pipeline.cluster(DataFolder(data), how, stages, known, sheets)
    _say_groups(found)
    stages.say(stages.summary())


def _say_groups(found: Clusters) -> None:
    click.echo(f"{len(found)} groups of {found.sizes[-1]:,} to {found.sizes[0]:,} pictures")
    click.echo(f"number of groups: {found.rule}")
    if found.n_sampled is not None:
        click.echo(f"grouped by samples of {found.n_sampled:,} pictures, the others assigned")
    for name, value in {"loss": found.loss, **found.quality}.items():
        if value is not None:
            click.echo(f"{name:<20}{value:.4f}")


@cli.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@_data
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default=COPY,
    show_default=True,
    help="How each picture gets there.",
)
@click.option("--force", is_flag=True, help="Write into a folder that is not empty.")
@click.option(
    "--images",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the pictures, if it has moved.",
)
def partition(out: Path, data: Path, mode: str, force: bool, images: Path | None) -> None:
    """Put the pictures into one folder for each group, in OUT; the originals stay as they are."""
    done = pipeline.partition(DataFolder(data), out, mode, force, images, _stages())
    for path in done.missing[:20]:
        click.echo(f"missing: {printable(path)}", err=True)
    click.echo(
        f"{done.n_written:,} pictures written, {done.n_kept:,} were there, "
        f"{done.n_removed:,} removed, {len(done.missing):,} missing"
    )


@cli.command()
@click.argument("image", type=click.Path(path_type=Path))
@_data
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=10, show_default=True, help="Answers."
)
@_as_json
def search(image: Path, data: Path, limit: int, as_json: bool) -> None:
    """Find the pictures of the collection that look most like the file IMAGE."""
    with DataFolder(data).open_current() as snapshot:
        answer = searching.search(snapshot, image, limit)
    if as_json:
        click.echo(json.dumps(answer.as_dict(), ensure_ascii=False))
        return
    for one in answer.neighbours:
        click.echo(f"{one.score:.4f}  {one.record.id:<18}  {printable(one.record.path)}")


@cli.command()
@_data
@click.option(
    "--threshold",
    type=float,
    default=DEFAULT_THRESHOLD,
    show_default=True,
    help="Least cosine that joins two pictures; above 1 only equal files and pixels are joined.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Groups at most.")
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Groups to pass over.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="How the groups are printed; json gives one group a line.",
)
def duplicates(data: Path, threshold: float, limit: int | None, offset: int, form: str) -> None:
    """List groups of pictures that are the same, or nearly so, the largest group first.

    Each group begins with its largest picture; the scores are cosines with that one.
    Recompressed and smaller copies reach 0.98 down to about 250 pixels a side, 0.95 to
    200, and 0.8 to 0.9 at 128: to join such small ones, lower the threshold.
    """
    with DataFolder(data).open_current() as snapshot:
        groups = duplicate_groups(snapshot, threshold)
        shown = groups[offset:] if limit is None else groups[offset : offset + limit]
        writer = duplicate_lists.WRITERS[form]
        for line in writer(describe(snapshot, rows) for rows in shown):
            click.echo(line)
    click.echo(f"{len(groups):,} groups, {sum(map(len, groups)):,} pictures", err=True)


@cli.command()
@_data
@click.option("--all", "all_rows", is_flag=True, help="Compare the whole table with a search.")
def verify(data: Path, all_rows: bool) -> None:
    """Check the live snapshot: every checksum, the counts, that every picture finds itself."""
    with DataFolder(data).open_current() as snapshot:
        findings = list(encoder_findings(snapshot))
        findings += verify_snapshot(snapshot, all_rows, progress=_progress)
        for finding in findings:
            click.echo(finding)
        if findings:
            raise IndexerError(
                f"snapshot {snapshot.id} has {len(findings)} faults: build again, or go back with "
                "`snapshots rollback`"
            )
        click.echo(f"snapshot {snapshot.id} is sound: {len(snapshot):,} pictures")


@cli.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@_data
@click.option(
    "--full-limit",
    type=click.IntRange(min=0),
    default=exporting.DEFAULT_FULL_LIMIT,
    show_default=True,
    help="Above this number of pictures the square files give way to the top-k table.",
)
def export(out: Path, data: Path, full_limit: int) -> None:
    """Write the collection to the folder OUT as plain files: .npy, .csv and .json."""
    with DataFolder(data).open_current() as snapshot:
        for sentence in exporting.export(snapshot, out, full_limit, progress=_progress):
            click.echo(sentence, err=True)
    click.echo(f"written to {out}")


@cli.command()
@_data
@_seed
@click.option("--labels", help="`folders`, or a CSV file with a column `path` and one of labels.")
@click.option("--column", help="Column of the CSV file that holds the labels.")
@click.option("--per-class", is_flag=True, help="Also print a table of the classes, worst first.")
@click.option(
    "--sheet",
    type=click.Path(dir_okay=False, path_type=Path),
    help="JPEG to draw the worst queries and their nearest into, the wrong ones framed.",
)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    default=DEFAULT_SAMPLE,
    show_default=True,
    help="Pictures to alter where there are no labels.",
)
@click.option(
    "--images",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the pictures, if it has moved; they are altered from their files.",
)
@_as_json
def evaluate(
    data: Path,
    seed: int,
    labels: str | None,
    column: str | None,
    per_class: bool,
    sheet: Path | None,
    sample: int,
    images: Path | None,
    as_json: bool,
) -> None:
    """Measure how good the neighbours are, with labels or without.

    With --labels: precision, R-precision and mean average precision, each labelled picture a query
    among the others. Without: how many altered copies (cropped, mirrored, recompressed ...) find
    their original first, and how the encodings are spread.
    """
    if labels is None and (column or per_class or sheet):
        raise click.UsageError("--column, --per-class and --sheet need --labels")
    with DataFolder(data).open_current() as snapshot:
        if labels is None:
            check = evaluating.check_snapshot(snapshot, images, seed, sample, _progress)
            _say_measures(check.as_dict(), evaluating.check_lines(check), as_json)
            return
        labelled = evaluating.Labelled(snapshot, labels, column)
        if sheet is not None:
            labelled.write_sheet(sheet)
        _say_measures(labelled.as_dict(), evaluating.labelled_lines(labelled, per_class), as_json)


def _say_measures(measures: dict[str, Any], lines: Iterable[str], as_json: bool) -> None:
    for line in [json.dumps(measures, ensure_ascii=False)] if as_json else lines:
        click.echo(line)


@cli.group()
def snapshots() -> None:
    """List published snapshots, go back to one, or remove old ones."""


@snapshots.command("list")
@_data
@_as_json
def list_snapshots(data: Path, as_json: bool) -> None:
    """List the published snapshots, oldest first."""
    found = pipeline.describe_snapshots(DataFolder(data))
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    for one in found:
        mark = "*" if one["current"] else " "
        if "problem" in one:
            click.echo(f"{mark} {one['id']}  {one['problem']}")
            continue
        size = f"{one['size_bytes'] / 1e6:,.0f} MB"
        click.echo(f"{mark} {one['id']}  {one['n_images']:>9,} pictures  {size:>12}")


@snapshots.command()
@click.argument("snapshot_id", metavar="ID")
@_data
def rollback(snapshot_id: str, data: Path) -> None:
    """Make the snapshot ID the live one, after checking it."""
    folder = DataFolder(data)
    with folder.locked():
        with folder.open(snapshot_id) as snapshot:
            pipeline.check_sound(snapshot)
        folder.set_current(snapshot_id)
    click.echo(f"{snapshot_id} is live")


@snapshots.command()
@_data
@click.option(
    "--keep", type=click.IntRange(min=1), default=KEPT, show_default=True, help="How many."
)
def prune(data: Path, keep: int) -> None:
    """Remove all but the newest snapshots, never the live one nor one that is open."""
    folder = DataFolder(data)
    with folder.locked():
        removed = folder.prune(keep)
    click.echo(f"removed {len(removed)} snapshots")


_progress = functools.partial(
    tqdm, file=sys.stderr, dynamic_ncols=True, mininterval=0.2 if sys.stderr.isatty() else 5.0
)


def _stages() -> Stages:
    return Stages(_progress, functools.partial(click.echo, err=True))
