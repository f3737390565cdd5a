from __future__ import annotations

import fcntl
import threading

import pytest

from service.errors import NotReady
from service.settings import Settings
from service.snapshots import SnapshotHolder
from tests.helpers.fakes import FakeEncoder
from tests.helpers.files import flip_bit
from tests.helpers.waiting import wait_for

FAR_S = 3600.0  # a holder that looks only when it is told to


@pytest.fixture
def holder_of():
    """Give a function data -> holder that has not been started; it is stopped at the end."""
    holders = []

    def make(data, open_encoder=lambda snapshot: FakeEncoder(), poll_s=FAR_S):
        holders.append(SnapshotHolder(data, open_encoder, poll_s))
        return holders[-1]

    yield make
    for holder in holders:
        holder.stop()


def live_id(holder):
    """Return the id of the live snapshot, or None."""
    try:
        with holder.use() as live:
            return live.id
    except NotReady:
        return None


def damage(place, snapshot_id, name="catalogue.sqlite"):
    """Flip a bit of a published file."""
    flip_bit(place.data.snapshots / snapshot_id / name)


def test_nothing_published_is_not_ready_until_it_is(place, holder_of):
    """The first snapshot is picked up by a service that started without one."""
    holder = holder_of(place.data)
    holder.look()
    with pytest.raises(NotReady, match="lookalike build"), holder.use():
        pass
    published = place.publish()
    holder.look()
    assert live_id(holder) == published


def test_new_snapshot_is_picked_up_by_itself(place, holder_of):
    """A started holder needs nobody to tell it."""
    first = place.publish()
    holder = holder_of(place.data, poll_s=0.02)
    holder.start()
    assert live_id(holder) == first
    second = place.publish()
    wait_for(lambda: live_id(holder) == second)


def test_request_in_flight_ends_on_its_snapshot(place, holder_of):
    """The old snapshot stays open until its last user has left, and is closed then."""
    first = place.publish()
    holder = holder_of(place.data)
    holder.look()
    with holder.use() as old:
        second = place.publish()
        holder.look()
        assert live_id(holder) == second
        assert old.id == first
        assert old.snapshot.catalogue.image(0).row == 0
    assert not hasattr(old.snapshot, "store")  # closed


def test_rollback_is_followed(place, holder_of):
    """CURRENT may name an older snapshot again."""
    first, second = place.publish(), place.publish()
    holder = holder_of(place.data)
    holder.look()
    assert live_id(holder) == second
    place.data.set_current(first)
    holder.look()
    assert live_id(holder) == first


def test_damaged_snapshot_leaves_the_old_one(place, holder_of):
    """A new snapshot that cannot be used is named, and the old one goes on answering."""
    first = place.publish()
    holder = holder_of(place.data)
    holder.look()
    second = place.publish()
    damage(place, second)
    holder.look()
    assert live_id(holder) == first
    problem = holder.problem()
    assert problem is not None
    assert (problem.snapshot_id, "catalogue.sqlite" in problem.message) == (second, True)
    third = place.publish()
    holder.look()
    assert live_id(holder) == third
    assert holder.problem() is None


def test_damaged_snapshot_at_the_start_falls_back(place, holder_of):
    """A worker that starts beside a damaged snapshot answers from the one before."""
    first, second = place.publish(), place.publish()
    damage(place, second)
    holder = holder_of(place.data)
    holder.look()
    assert live_id(holder) == first


def test_only_snapshot_is_damaged(place, holder_of):
    """Without another one there is no answer, but the reason."""
    damage(place, place.publish())
    holder = holder_of(place.data)
    holder.look()
    with pytest.raises(NotReady, match="catalogue.sqlite"), holder.use():
        pass


def test_damaged_snapshot_is_not_opened_at_every_look(place, holder_of):
    """It is tried once, and again only after a while."""
    place.publish()
    tries = []

    def refuse(snapshot):
        tries.append(snapshot.id)
        raise OSError("no such encoder")

    holder = holder_of(place.data, refuse)
    for _ in range(5):
        holder.look()
    assert len(tries) == 1


def test_encoder_of_another_collection_is_refused(place, holder_of):
    """Vectors and encoder must belong together."""

    class Other(FakeEncoder):
        fingerprint = "other"

    place.publish()
    holder = holder_of(place.data, lambda snapshot: Other())
    holder.look()
    with pytest.raises(NotReady, match="fake000000000000.*but its file is other"), holder.use():
        pass


def test_clusters_of_other_pictures_are_refused(place, holder_of):
    """Groups that were made for another number of pictures are not shown."""
    first = place.publish(n_clusters=3)
    other = (place.data.snapshots / first / "clusters.json").read_bytes()
    (place.pictures / "copy.png").unlink()
    place.publish(files={"clusters.json": other})
    holder = holder_of(place.data)
    holder.look()
    assert live_id(holder) == first


@pytest.mark.parametrize("content", [b"../../etc\n", b"\xff\xfe", b"20200101T000000Z-0000000\n"])
def test_nonsense_in_current_leaves_the_old_one(place, holder_of, content):
    """Whatever CURRENT says, the live snapshot goes on."""
    first = place.publish()
    holder = holder_of(place.data, poll_s=0.01)
    holder.start()
    (place.data.root / "CURRENT").write_bytes(content)
    wait_for(holder.problem)
    assert live_id(holder) == first
    second = place.publish()
    wait_for(lambda: live_id(holder) == second)
    assert holder.problem() is None


class LargeFiles:
    """A holder's view of snapshots whose vectors are too large to be checked when opened."""

    def __init__(self, place):
        self.place = place
        noise = bytes(range(256)) * 8192  # 2 MiB

        self.first = place.publish(files={"large.bin": noise})
        self.second = place.publish(files={"large.bin": noise[::-1]})


def test_damaged_large_file_is_noticed_in_the_background(place, holder_of):
    """Opening does not read it; the check does, and goes back to the snapshot before."""
    large = LargeFiles(place)
    damage(place, large.second, "large.bin")
    holder = holder_of(place.data, poll_s=0.01)
    holder.look()
    assert live_id(holder) == large.second
    holder.start()
    wait_for(lambda: live_id(holder) == large.first)
    assert "large.bin" in holder.problem().message


def test_a_damaged_snapshot_answers_until_the_one_before_is_open(place, holder_of):
    """Requests go on without a gap: the other snapshot is opened first, then swapped in."""
    large = LargeFiles(place)
    damage(place, large.second, "large.bin")
    stop, seen = threading.Event(), []

    def ask():
        while not stop.is_set():
            seen.append(live_id(holder))

    def open_encoder(snapshot):
        if snapshot.id == large.first:  # only now, when the second is found to be damaged
            n_before = len(seen)
            wait_for(lambda: len(seen) > n_before + 100)
        return FakeEncoder()

    holder = holder_of(place.data, open_encoder, poll_s=0.01)
    holder.look()
    asking = threading.Thread(target=ask)
    asking.start()
    try:
        holder.start()
        wait_for(lambda: large.first in seen)
    finally:
        stop.set()
        asking.join()
    assert set(seen) == {large.first, large.second}


def test_damaged_large_file_of_the_only_snapshot(place, holder_of):
    """Rather no answer than nonsense."""
    only = place.publish(files={"large.bin": bytes(2 << 20)})
    damage(place, only, "large.bin")
    holder = holder_of(place.data, poll_s=0.01)
    holder.start()
    wait_for(lambda: live_id(holder) is None)


@pytest.fixture
def refused_locks(monkeypatch):
    """Give a list that grows each time a lock is held by somebody else."""
    refused, flock = [], fcntl.flock

    def noted(descriptor, operation):
        try:
            flock(descriptor, operation)
        except BlockingIOError:
            refused.append(operation)
            raise

    monkeypatch.setattr(fcntl, "flock", noted)
    return refused


def test_large_files_are_checked_by_one_worker(place, holder_of, refused_locks):
    """Of two workers on a host one reads everything; when it ends, the other takes over."""
    large = LargeFiles(place)
    first, second = (holder_of(place.data, poll_s=0.01) for _ in range(2))
    first.start()
    wait_for(lambda: checked(first))
    second.start()
    wait_for(lambda: len(refused_locks) >= 5)
    assert not checked(second)
    damage(place, large.second, "large.bin")  # the first does not read it again
    n_before = len(refused_locks)
    wait_for(lambda: len(refused_locks) >= n_before + 5)
    assert live_id(first) == large.second
    first.stop()
    wait_for(lambda: live_id(second) == large.first)


def checked(holder):
    """Say whether a holder has checked its snapshot's large files itself."""
    with holder.use() as live:
        return live.checked


def test_many_requests_over_many_swaps(place, holder_of):
    """Users of several threads each see one whole snapshot, whatever is published meanwhile."""
    place.publish()
    holder = holder_of(place.data, poll_s=0.001)
    holder.start()
    stop, seen, wrong = threading.Event(), set(), []

    def ask():
        while not stop.is_set():
            with holder.use() as live:
                seen.add(live.id)
                if live.snapshot.catalogue.image(3).row != 3 or len(live.snapshot.store) != 13:
                    wrong.append(live.id)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            published = place.publish()
            wait_for(lambda published=published: published in seen)
    finally:
        stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(seen) >= 5


def test_a_service_looks_often_enough(place):
    """A new snapshot is to answer within two seconds, and opening it takes some of them."""
    assert Settings(data=place.data.root).poll_s <= 1.0
