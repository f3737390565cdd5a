"""Quality of groups, on cases small enough to work out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from indexer.groups.dissimilarity import Assignment
from indexer.groups.scores import NoClasses, agreement, medoid_silhouette


def assignment(scores, next_scores):
    """Return an assignment with given cosines."""
    labels = np.zeros(len(scores), np.int32)
    return Assignment(labels, np.array(scores, np.float32), np.array(next_scores, np.float32))


def test_silhouette_by_hand():
    """Dissimilarities 0 of 1, 0.25 of 0.5, 0.5 of 0.5: silhouettes 1, 0.5, 0, so 0.5."""
    found = assignment([1, 0.75, 0.5], [0, 0.5, 0.5])

    assert medoid_silhouette(found) == pytest.approx(0.5)


def test_silhouette_of_copies():
    """A picture at 0 from both medoids counts as 0: the groups cannot be told apart there."""
    assert medoid_silhouette(assignment([1, 1], [1, 0])) == pytest.approx(0.5)


def test_silhouette_of_one_group():
    """With one group there is no next medoid, and no silhouette."""
    assert medoid_silhouette(assignment([1, 0.5], [np.nan, np.nan])) is None


def test_agreement_by_hand():
    """Groups aab and bb: purity 4/5; mutual information over the mean of both entropies."""
    labels = np.array([0, 0, 0, 1, 1], np.int32)

    found = agreement(labels, ["a", "a", "b", "b", "b"])

    share = {"a0": 0.4, "b0": 0.2, "b1": 0.4}
    of_class, of_group = {"a": 0.4, "b": 0.6}, {"0": 0.6, "1": 0.4}
    information = sum(p * math.log(p / of_class[k[0]] / of_group[k[1]]) for k, p in share.items())
    entropy = -(0.4 * math.log(0.4) + 0.6 * math.log(0.6))  # of both
    assert found["purity"] == pytest.approx(4 / 5)
    assert found["nmi"] == pytest.approx(information / entropy)
    # Pairs together in both 2, in groups 4, in classes 4, of 10: (2 - 1.6) / (4 - 1.6).
    assert found["ari"] == pytest.approx(0.4 / 2.4)


def test_agreement_leaves_out_the_unknown():
    """Pictures without a class take no part."""
    labels = np.array([0, 1, 0, 1], np.int32)

    assert agreement(labels, ["a", "b", None, None]) == {"purity": 1, "nmi": 1, "ari": 1}


@pytest.mark.parametrize("classes", [[None, None], ["a"]])
def test_no_classes(classes):
    """Without a class for any picture, or one entry for each, there is nothing to compare with."""
    with pytest.raises(NoClasses):
        agreement(np.zeros(2, np.int32), classes)
