"""Values: frozen records that compare by what they hold."""

from __future__ import annotations

import copy
import pickle
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.core.value import Value


class Point(Value):
    """A place."""

    x: int
    y: int = 0
    """How high."""

    def mirrored(self) -> Point:
        return Point(self.y, self.x)


class Spot(Value):
    x: int
    y: int = 0


class Nothing(Value):
    pass


points = st.builds(Point, st.integers(-3, 3), st.integers(-3, 3))


@given(points, points)
def test_two_values_are_equal_exactly_when_their_fields_are(one: Point, other: Point) -> None:
    assert (one == other) == ((one.x, one.y) == (other.x, other.y))
    assert (one != other) is not (one == other)
    assert one != other or hash(one) == hash(other)


@given(points)
def test_a_value_survives_replace_copy_pickle_and_repr(point: Point) -> None:
    assert point.replace() == point
    assert point.replace(x=point.y, y=point.x) == point.mirrored()
    assert copy.copy(point) == copy.deepcopy(point) == pickle.loads(pickle.dumps(point)) == point
    assert eval(repr(point)) == point


def test_values_of_two_classes_differ_though_their_fields_do_not() -> None:
    assert Point(1, 2) != Spot(1, 2)
    assert Point(1, 2) != (1, 2)
    assert Nothing() == Nothing()


def test_fields_are_taken_by_position_by_name_and_by_default() -> None:
    assert Point(1, 2) == Point(y=2, x=1) == Point(1, y=2)
    assert Point(1) == Point(1, 0)
    assert repr(Nothing()) == "Nothing()"


@pytest.mark.parametrize("arguments", [(), (1, 2, 3)])
def test_too_few_or_too_many_fields_are_a_type_error(arguments: tuple[int, ...]) -> None:
    with pytest.raises(TypeError):
        Point(*arguments)


def test_an_unknown_field_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        Point(1, z=2)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Point(1).replace(z=2)


@pytest.mark.parametrize("name", ["x", "z"])
def test_nothing_of_a_value_can_be_set_or_deleted(name: str) -> None:
    point = Point(1, 2)
    with pytest.raises(AttributeError, match=re.escape(f"Point is frozen: {name} cannot be set")):
        setattr(point, name, 3)
    with pytest.raises(AttributeError, match=re.escape(f"Point is frozen: {name} cannot be deleted")):
        delattr(point, name)
    assert point == Point(1, 2)


def test_a_value_has_no_room_for_more_than_its_fields() -> None:
    assert not hasattr(Point(1), "__dict__")
    assert sys.getsizeof(Point(1)) <= sys.getsizeof(Nothing()) + 2 * 8


def test_a_value_can_be_matched_by_position() -> None:
    match Point(1, 2):
        case Point(x, y):
            assert (x, y) == (1, 2)
        case _:
            pytest.fail("it did not match")


def test_a_field_that_cannot_be_hashed_makes_a_value_that_cannot_be_hashed() -> None:
    with pytest.raises(TypeError):
        hash(Point([]))  # type: ignore[arg-type]
