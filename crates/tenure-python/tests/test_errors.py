"""The exceptions: what they carry, and that they travel between processes."""

from __future__ import annotations

import copy
import pickle
import traceback

import pytest
import tenure
import tenure.aio

ALL = [
    tenure.Error,
    tenure.Busy,
    tenure.Closed,
    tenure.Forked,
    tenure.Invalid,
    tenure.LockLost,
    tenure.Mismatch,
    tenure.StoreRefused,
    tenure.StoreUnavailable,
]


@pytest.mark.parametrize("kind", ALL)
def test_they_can_be_pickled_and_copied(kind: type[tenure.Error]) -> None:
    error = kind("what happened", "key", "redis://host", True)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        same = pickle.loads(pickle.dumps(error, protocol))
        assert type(same) is kind
        assert str(same) == "what happened"
        assert (same.key, same.store, same.may_hold) == ("key", "redis://host", True)
    assert str(copy.copy(error)) == "what happened"


@pytest.mark.parametrize("kind", ALL)
def test_one_except_is_enough(kind: type[tenure.Error]) -> None:
    assert issubclass(kind, tenure.Error)
    assert issubclass(kind, Exception)
    assert kind is getattr(tenure.aio, kind.__name__)
    bare = kind("what happened")
    assert (bare.key, bare.store, bare.may_hold) == (None, None, False)


@pytest.mark.parametrize("kind", ALL)
def test_a_traceback_names_them_as_they_are_imported(kind: type[tenure.Error]) -> None:
    last = traceback.format_exception_only(kind, kind("what happened"))[-1]
    assert last == f"tenure.{kind.__name__}: what happened\n"


def test_an_error_of_the_library_can_be_pickled() -> None:
    locks = tenure.connect("memory:")
    with locks.mutex("k"), pytest.raises(tenure.Busy) as caught:
        locks.mutex("k", wait=0).acquire()
    same = pickle.loads(pickle.dumps(caught.value))
    assert str(same) == str(caught.value)
    assert (same.key, same.store, same.may_hold) == ("k", "memory", False)


def test_data_can_be_pickled_and_compared() -> None:
    locks = tenure.connect("memory:")
    with locks.mutex("k"):
        seen = locks.mutex("k").inspect()
    same = pickle.loads(pickle.dumps(seen))
    assert same == seen
    assert isinstance(same.holders[0], tenure.Holder)


def test_handles_cannot_be_pickled() -> None:
    locks = tenure.connect("memory:")
    with locks.mutex("k") as guard:
        for handle in (locks, locks.mutex("k"), guard):
            with pytest.raises(TypeError):
                pickle.dumps(handle)


def test_a_message_names_the_option_as_python_does() -> None:
    with pytest.raises(tenure.Invalid, match="name one by owner") as error:
        tenure.connect("memory:").mutex("k").held_by_me()
    assert "with_owner" not in str(error.value)
