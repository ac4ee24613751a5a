"""Types of all kinds that people let jobs carry: some come back as they went in, some would not."""

from __future__ import annotations

import dataclasses
import enum
from datetime import datetime, timedelta, tzinfo
from typing import Any, ClassVar, Generic, NamedTuple, TypedDict, TypeVar

import msgspec
import pydantic
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, RootModel, computed_field, field_validator

T = TypeVar("T")


@dataclasses.dataclass
class Base:
    a: int = 1


@dataclasses.dataclass
class Child(Base):
    b: int = 2


@dataclasses.dataclass
class Derived:
    a: int
    total: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.total = self.a * 2
        self.cache: object = object()


@dataclasses.dataclass
class Counting:
    a: int

    def __post_init__(self) -> None:
        self.a += 1


@dataclasses.dataclass(eq=False)
class Incomparable:
    a: list[Base]


class Struct(msgspec.Struct):
    a: int = 1


class ChildStruct(Struct):
    b: int = 2


class Renamed(msgspec.Struct, rename="camel"):
    first_name: str


class Cat(msgspec.Struct, tag=True, forbid_unknown_fields=True):
    name: str


class Dog(msgspec.Struct, tag=True, forbid_unknown_fields=True):
    name: str


class Row(msgspec.Struct, array_like=True, tag="row"):
    x: int
    y: int


class Model(BaseModel):
    a: int = 1
    note: str | None = None


class ChildModel(Model):
    b: int = 2


class Excluding(BaseModel):
    shown: str
    hidden: str = Field(exclude=True)


class Aliased(BaseModel):
    customer: str = Field(alias="customerName")
    cents: int = Field(validation_alias="amount", serialization_alias="value")
    crossed: int = Field(default=0, alias="cents")


class Computing(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        return self.a * 2


class Allowing(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class Twice(BaseModel):
    cents: int

    @field_validator("cents", mode="before")
    @classmethod
    def to_cents(cls, euros: Any) -> int:
        return int(euros * 100)


class Raising(BaseModel):
    a: int = 1

    @field_validator("a", mode="before")
    @classmethod
    def only_once(cls, value: Any) -> Any:
        raise ZeroDivisionError("boom")


class Keeping(BaseModel):
    a: int
    _kept: int = PrivateAttr(default=0)


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)
    a: int = 1
    inner: Model = Model()


class Nested(BaseModel):
    inner: Model
    others: list[Model] = []
    by_key: dict[int, Model] = {}
    point: Base | None = None


class Ids(RootModel[list[int]]):
    pass


class Generic_(BaseModel, Generic[T]):
    item: T


@pydantic.dataclasses.dataclass
class PydanticData:
    a: int = 1


class Pair(NamedTuple):
    left: int
    right: str = ""


class ChildPair(Pair):
    extra: ClassVar[int] = 1


class Keyed(TypedDict, total=False):
    a: int
    b: str


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


class Status(enum.StrEnum):
    OPEN = "open"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Text(str):
    pass


class Library(tzinfo):
    """A zone of another library: ``pytz`` and ``dateutil`` have such."""

    def __init__(self, fixed: timedelta | None) -> None:
        self.fixed = fixed

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return timedelta(hours=1) if moment is not None else self.fixed

    def dst(self, moment: datetime | None) -> timedelta | None:
        return None

    def tzname(self, moment: datetime | None) -> str:
        return "LIB"


def changed(value: Any, **attributes: Any) -> Any:
    for name, attribute in attributes.items():
        object.__setattr__(value, name, attribute)
    return value
