"""What can be asked about stored blocks.

Secrets are clear in requests that save a block, and in the answer to who asked for them, nowhere else.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from ..domain.accounts import ADMIN
from ..domain.blocks import BlockDocument, Fields, Place
from .operation import Nothing, Operation, Page
from .paging import Limit
from .variables import AnyName

MASK = "********"
MOST_SECRETS = 1000


class ClearSecret(msgspec.Struct, forbid_unknown_fields=True):
    """A secret, and where in the block's fields it belongs: keys of objects, indexes of lists. It is `value`, any JSON,
    or else `data`, bytes."""

    place: Annotated[tuple[str | int, ...], msgspec.Meta(min_length=1, max_length=50)]
    value: Any = None
    data: bytes | None = None

    def __repr__(self) -> str:
        return f"ClearSecret({self.place})"

    def clear(self) -> Any:
        return self.value if self.data is None else self.data


class SaveBlock(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Stores a block under a name, with null in `data` in the places of `secrets`. With `overwrite` also in place of
    one that has this name."""

    type: AnyName
    name: AnyName
    data: Fields
    secrets: Annotated[list[ClearSecret], msgspec.Meta(max_length=MOST_SECRETS)] = []
    overwrite: bool = False
    id: UUID | None = None


class UpdateBlock(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """All fields of a block anew."""

    type: AnyName
    name: AnyName
    data: Fields
    secrets: Annotated[list[ClearSecret], msgspec.Meta(max_length=MOST_SECRETS)] = []


class BlockAddress(msgspec.Struct, forbid_unknown_fields=True):
    type: AnyName
    name: AnyName


class ReadBlock(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """With `include_secrets`, which takes an operator, the answer has the clear values."""

    type: AnyName
    name: AnyName
    include_secrets: bool = False


class ReadBlockById(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    id: UUID
    include_secrets: bool = False


class FilterBlocks(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """By type and name; of one `type`, or of all."""

    type: AnyName | None = None
    limit: Limit = 200
    cursor: Annotated[str, msgspec.Meta(max_length=4000)] | None = None


class Block(msgspec.Struct, kw_only=True):
    """A stored block. In `data` stands `********` in the places of secrets; `opened` are their clear values, where they
    were asked for."""

    id: UUID
    type: str
    name: str
    data: Fields
    created: datetime
    updated: datetime
    secrets: tuple[Place, ...] = ()
    opened: list[ClearSecret] | None = None

    @property
    def address(self) -> str:
        """`secret/api-key`: what one block is called among all."""
        return f"{self.type}/{self.name}"

    def fields(self) -> Fields:
        """The fields, with the clear values for who asked for them."""
        opened = self.opened or []
        sealed = tuple((each.place, str(index)) for index, each in enumerate(opened))
        document = BlockDocument(self.id, self.type, self.name, self.data, self.created, self.updated, sealed)
        return document.with_secrets(lambda _, index: opened[int(index)].clear())


class Reencrypted(msgspec.Struct):
    """How many blocks were encrypted anew, of how many."""

    done: int
    of: int


_BY_NAME = "/block_types/slug/{type}/block_documents/name/{name}"

FILTER_BLOCKS = Operation(
    "filter_block_documents", "POST", "/block_documents/filter", FilterBlocks, Page[Block],
    "List blocks, by type and name.", reads=True,
)  # fmt: skip
COUNT_BLOCKS = Operation(
    "count_block_documents", "POST", "/block_documents/count", Nothing, dict[str, int],
    "How many blocks there are of each type.", reads=True,
)  # fmt: skip
CREATE_BLOCK = Operation(
    "create_block_document", "POST", "/block_documents", SaveBlock, Block, "Store a block.", status=201
)
REENCRYPT_BLOCKS = Operation(
    "reencrypt_block_documents", "POST", "/block_documents/reencrypt", Nothing, Reencrypted,
    "Encrypt the secrets of all blocks with the present key.", role=ADMIN, safe=True,
)  # fmt: skip
READ_BLOCK = Operation("read_block_document", "GET", "/block_documents/{id}", ReadBlockById, Block, "Read a block.")
READ_BLOCK_BY_NAME = Operation(
    "read_block_document_by_name", "GET", _BY_NAME, ReadBlock, Block, "Read a block by its type and name."
)
UPDATE_BLOCK = Operation(
    "update_block_document", "PATCH", _BY_NAME, UpdateBlock, Block, "Store a block's fields anew.", safe=True
)
DELETE_BLOCK: Operation[BlockAddress, None] = Operation(
    "delete_block_document", "DELETE", _BY_NAME, BlockAddress, None, "Delete a block."
)
