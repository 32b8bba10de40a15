"""The base of all blocks: a pydantic model that can be saved under a name and loaded again, here or elsewhere.

A type of blocks is known by being defined: loading one of a type needs the module that defines it to be imported.
"""

from __future__ import annotations

import asyncio
from abc import ABC
from typing import Any, ClassVar, Self, cast
from uuid import UUID

import pydantic

from .. import connect
from ..domain import names
from ..domain.blocks import Place, parse_address
from ..domain.errors import DefinitionError, InvalidName, UnknownBlockType, UnreadableBlock
from ..protocol.block_documents import (
    CREATE_BLOCK,
    DELETE_BLOCK,
    READ_BLOCK_BY_NAME,
    BlockAddress,
    ClearSecret,
    ReadBlock,
    SaveBlock,
)
from ..protocol.block_documents import Block as StoredBlock
from . import secrets


class Block(pydantic.BaseModel):
    """Typed configuration that is stored under a name. Subclass it, with annotated fields.

    Fields of pydantic's `SecretStr`, `SecretBytes` and `Secret[…]` are encrypted in the record, also in lists,
    dictionaries and nested models; their values are masked in everything that this process logs or records.

    `_block_type_name` names the type for people (default: the class's name), `_block_type_slug` in addresses (default:
    made from the name), `_description` says what it is for (default: the first line of the docstring).

    Example::

        class Database(Block):
            host: str
            password: SecretStr

        Database(host="db.example.org", password="…").save("orders")
        Database.load("orders").password.get_secret_value()
    """

    # An error about one field must not show the values of the others; and a text that is assigned to a secret field
    # must become a secret.
    model_config = pydantic.ConfigDict(hide_input_in_errors=True, validate_assignment=True)

    _block_type_name: ClassVar[str | None] = None
    _block_type_slug: ClassVar[str | None] = None
    _description: ClassVar[str | None] = None

    _block_document_id: UUID | None = pydantic.PrivateAttr(None)
    _block_document_name: str | None = pydantic.PrivateAttr(None)

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        secrets.mask(self)
        self.block_initialization()

    def block_initialization(self) -> None:
        """Called when a block was made or loaded; for subclasses."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        secrets.mask(self.__dict__.get(name))

    def __setstate__(self, state: dict[Any, Any]) -> None:
        super().__setstate__(state)
        secrets.mask(self)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        # `Secret[str]` is a `Secret`, and a class with ABC beside it is for others to build on.
        if cls.__pydantic_generic_metadata__["origin"] is None and ABC not in cls.__bases__:
            _register(cls)

    # --- the type ----------------------------------------------------------------------------------------------------

    @classmethod
    def get_block_type_name(cls) -> str:
        """What people call the type."""
        origin = cls._origin()
        return origin.__dict__.get("_block_type_name") or origin.__name__

    @classmethod
    def get_block_type_slug(cls) -> str:
        """What addresses (`secret/api-key`) call the type."""
        return cls._origin().__dict__.get("_block_type_slug") or names.slug(cls.get_block_type_name())

    @classmethod
    def get_description(cls) -> str | None:
        """What the type is for."""
        origin = cls._origin()
        lines = (origin.__doc__ or "").strip().splitlines()
        return origin.__dict__.get("_description") or (lines[0] if lines else None)

    @classmethod
    def _origin(cls) -> type[Block]:
        """The class that was written: that of `Secret[str]` is `Secret`."""
        return cast(type[Block], cls.__pydantic_generic_metadata__["origin"] or cls)

    @classmethod
    def register_type_and_schema(cls, client: Any = None) -> None:
        """Of moved code: nothing is to be done. A type is known where its class is defined, and what is stored is
        checked by that class when it is loaded."""

    # --- stored ------------------------------------------------------------------------------------------------------

    def save(self, name: str | None = None, overwrite: bool = False) -> UUID:
        """Stores the block under a name (lowercase letters, digits and dashes), which is its type's own; without one,
        under the name it has. Gives the id it is stored with.

        Raises `InvalidName`, `NameTaken` (without `overwrite=True`), `UnstorableValue`, and `ConfigurationError` where
        there is no usable key to encrypt secrets with.
        """
        if name is None:
            name = self._block_document_name
        if name is None:
            raise InvalidName("A block is saved under a name: save('my-name').")
        secrets.mask(self)
        fields, taken = secrets.taken_out(self)
        document = connect.call(
            CREATE_BLOCK,
            SaveBlock(
                id=connect.clock().new_id(),
                type=self.get_block_type_slug(),
                name=name,
                data=fields,
                secrets=[_clear(place, value) for place, value in taken],
                overwrite=overwrite,
            ),
        )
        self._block_document_id, self._block_document_name = document.id, document.name
        return document.id

    @classmethod
    def load(cls, name: str) -> Self:
        """The block stored under a name; on `Block` itself the address, `slug/name`, of a block of any type.

        Raises `InvalidName`, `BlockNotFound`, `UnknownBlockType`, `DecryptionError` (another key), and
        `UnreadableBlock` when what is stored is not what the type asks for now.
        """
        slug, name = cls._address(name)
        document = connect.call(READ_BLOCK_BY_NAME, ReadBlock(type=slug, name=name, include_secrets=True))
        for each in document.opened or ():
            secrets.mask_clear(each.clear())
        return cast(Self, (block_type(slug) if cls is Block else cls)._from(document))

    @classmethod
    def delete(cls, name: str) -> None:
        """Deletes the block stored under a name; on `Block` itself, of an address. Raises `InvalidName` or
        `BlockNotFound`."""
        slug, name = cls._address(name)
        connect.call(DELETE_BLOCK, BlockAddress(slug, name))

    async def asave(self, name: str | None = None, overwrite: bool = False) -> UUID:
        """`save` to be awaited."""
        return await asyncio.to_thread(self.save, name, overwrite)

    @classmethod
    async def aload(cls, name: str) -> Self:
        """`load` to be awaited."""
        return await asyncio.to_thread(cls.load, name)

    @classmethod
    async def adelete(cls, name: str) -> None:
        """`delete` to be awaited."""
        return await asyncio.to_thread(cls.delete, name)

    @classmethod
    def of_fields(cls, fields: dict[str, Any], address: str) -> Self:
        """A block of stored fields. Raises `UnreadableBlock` for what is not (any more) what the type asks for."""
        try:
            return cls.model_validate(fields)
        except pydantic.ValidationError as error:
            raise UnreadableBlock(
                f"Block {address!r} is not what {cls.__name__} asks for now: {problems(error)}. Give new "
                "fields a default, or save the block again."
            ) from None

    @classmethod
    def _from(cls, document: StoredBlock) -> Self:
        block = cls.of_fields(document.fields(), document.address)
        block._block_document_id, block._block_document_name = document.id, document.name
        return block

    @classmethod
    def _address(cls, name: Any) -> tuple[str, str]:
        """The slug and name that a name means. Raises `InvalidName`."""
        slug = cls.get_block_type_slug()
        if cls is Block or (isinstance(name, str) and name.startswith(f"{slug}/")):
            return parse_address(str(name))
        if isinstance(name, str) and "/" in name:
            raise InvalidName(
                f"{cls.__name__} loads and deletes blocks of the type {slug!r}; {names.shown(name)} names another one. "
                "Use Block for blocks of any type."
            )
        return slug, names.check(name, names.BLOCK)


def _clear(place: Place, value: Any) -> ClearSecret:
    return ClearSecret(place, None, value) if isinstance(value, bytes) else ClearSecret(place, value)


def block_type(slug: str) -> type[Block]:
    """The class of a type. Raises `UnknownBlockType`."""
    found = _types.get(slug)
    if found is None:
        raise UnknownBlockType(
            f"There is no block type {names.shown(slug)} in this process.{names.suggestion(slug, _types)} A type is "
            "known when the module that defines it is imported."
        )
    return found


def block_types() -> list[type[Block]]:
    """The types that this process knows, by slug."""
    return [_types[slug] for slug in sorted(_types)]


_types: dict[str, type[Block]] = {}
_OURS = (f"{__package__}.system", f"{__package__}.notifications")


def _register(cls: type[Block]) -> None:
    """The latest definition counts (a notebook's cell is run again), but nobody takes the place of one of ours."""
    slug = cls.get_block_type_slug()
    if not slug or names.slug(slug) != slug:
        raise DefinitionError(
            f"Block type {cls.__name__!r} needs a slug of lowercase letters, digits and single dashes: set "
            f"_block_type_slug = 'my-type' in it; it is {slug!r}."
        )
    known = _types.get(slug)
    if known is not None and known.__module__ in _OURS and cls.__module__ != known.__module__:
        raise DefinitionError(
            f"Block type {cls.__qualname__!r} has the slug {slug!r}, which is Penstock's own. Set "
            "_block_type_slug in it."
        )
    _types[slug] = cls


def problems(error: pydantic.ValidationError) -> str:
    """What is wrong with which field; never a value."""
    return "; ".join(
        f"{'.'.join(map(str, each['loc'])) or 'the block'}: {each['msg']}"
        for each in error.errors(include_input=False, include_url=False, include_context=False)
    )
