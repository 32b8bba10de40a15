"""The threads that ask the store."""

from __future__ import annotations

import asyncio
import threading

import pytest

from penstock.api.pool import WRITERS, Pool
from penstock.exceptions import TooMuch


def test_who_only_reads_does_not_wait_behind_those_that_write() -> None:
    pool, gate = Pool(), threading.Event()

    async def ask() -> str:
        writing = [asyncio.create_task(pool.run(gate.wait)) for _ in range(10 * WRITERS)]
        await asyncio.sleep(0)
        try:
            return await asyncio.wait_for(pool.run(lambda: "read", reads=True), 30)
        finally:
            gate.set()
            await asyncio.gather(*writing)

    try:
        assert asyncio.run(ask()) == "read"
    finally:
        pool.close()


def test_who_comes_when_too_many_wait_is_told_to_come_again() -> None:
    pool, gate = Pool(threads=1, waiting=1), threading.Event()

    async def ask() -> None:
        waiting = [asyncio.create_task(pool.run(gate.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        try:
            with pytest.raises(TooMuch):
                await pool.run(lambda: None, reads=True)
        finally:
            gate.set()
            await asyncio.gather(*waiting)

    try:
        asyncio.run(ask())
    finally:
        pool.close()
