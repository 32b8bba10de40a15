"""A program that tells its secrets in every way it can think of: `python program.py SEED ENDING ARGUMENT`.

What it does, in which order and with which secrets, the seed says; what they are, the test knows by the same seed.
Secrets are not in this file, and are made known (`reveal`) before they are told.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from pydantic import BaseModel, SecretStr

from penstock import flow, get_run_logger, task
from penstock.cache_policies import INPUTS
from penstock.logging import mask_secret
from penstock.states import Completed, Failed
from penstock.task_runners import ProcessPoolTaskRunner

ENDINGS = ("return", "raise", "sys.exit", "os._exit", "SIGKILL", "SIGTERM", "unended")
ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
    "abcXYZ019-_=+/.:@!?&%$#*",
    "aäéßñ漢字🔑ZÅ",
    "ab'\"\\ \t{}<>c",
)
Tell = Callable[[random.Random, str], None]


def secrets(seed: int) -> list[str]:
    """The program's secrets: of many kinds, some within others, some that overlap."""
    chance = random.Random(f"secrets {seed}")

    def word(alphabet: str, size: int) -> str:
        return "".join(chance.choices(alphabet, k=size)) + "".join(chance.choices(ALPHABETS[0], k=6))

    found = [word(chance.choice(ALPHABETS), chance.randint(3, 40)) for _ in range(6)]
    found.append(found[0][-8:] + word(ALPHABETS[0], 5))  # it overlaps with the first
    found.append(found[1] + word(ALPHABETS[1], 3))  # the second is within it
    found.append("\n".join(word(ALPHABETS[0], 20) for _ in range(3)))
    return found


def marks(seed: int) -> list[str]:
    """What tasks with `log_prints=False` print."""
    chance = random.Random(f"marks {seed}")
    return ["only-for-the-terminal-" + "".join(chance.choices(ALPHABETS[0], k=12)) for _ in range(3)]


def reveal(seed: int) -> None:
    """Makes the secrets known, in one way or another."""
    for number, secret in enumerate(secrets(seed)):
        if number % 3 == 0:
            mask_secret(secret)
        elif number % 3 == 1:
            mask_secret(secret.encode())
        else:
            mask_secret(SecretStr(secret))


# --- ways to tell ----------------------------------------------------------------------------------------------------


def plainly(chance: random.Random, secret: str) -> None:
    print("the secret is", secret, "!", sep=chance.choice(["", " ", "\n"]))


def in_pieces(chance: random.Random, secret: str) -> None:
    at = chance.randrange(len(secret))
    for piece in ("begins ", secret[:at], secret[at:]):
        print(piece, end="", flush=chance.random() < 0.5)
    print()


def by_characters(chance: random.Random, secret: str) -> None:
    stream = chance.choice([sys.stdout, sys.stderr])
    for character in f"[{secret}]\n":
        stream.write(character)


def without_an_end(chance: random.Random, secret: str) -> None:
    print("no end:", secret, end="")


def as_a_bar(chance: random.Random, secret: str) -> None:
    for number in range(4):
        print(f"\r{number * 25} % {secret}", end="")
    print(f"\x1b[2K\rdone {secret}\x1b[0m")


def in_colours(chance: random.Random, secret: str) -> None:
    at = chance.randrange(len(secret))
    print(f"\x1b[1m{secret[:at]}\x1b[36m{secret[at:]}\x1b[0m")


def in_a_long_line(chance: random.Random, secret: str) -> None:
    most = int(os.environ["PENSTOCK_LOGGING_MAX_LINE_BYTES"])
    before = most - chance.randint(0, len(secret) + 2)
    print("x" * before + secret + "y" * chance.choice([0, 10, 5000]))
    print(secret * (most // len(secret) + chance.randint(1, 500)), end=chance.choice(["", "\n"]))


def in_other_forms(chance: random.Random, secret: str) -> None:
    print(json.dumps({"key": secret}), repr([secret]), ascii(secret), secret.encode())
    print(quote(secret), urlencode({"key": secret}), json.dumps(json.dumps(secret)), repr(json.dumps({"k": secret})))
    print("Basic", base64.b64encode(f"{'user'[: chance.randint(0, 4)]}:{secret}".encode()).decode())


def side_by_side(chance: random.Random, secret: str) -> None:
    print(secret + secret, secret + secret[:5], secret[-5:] + secret)


def by_loggers(chance: random.Random, secret: str) -> None:
    get_run_logger().info("with %s and %r", secret, [secret])
    logging.getLogger("library").warning("a library says %s", secret)
    try:
        raise KeyError(secret)
    except KeyError:
        get_run_logger().exception("failed for %s", secret)
    warnings.warn(f"beware of {secret} {chance.random()}", stacklevel=1)


def in_a_traceback(chance: random.Random, secret: str) -> None:
    try:
        try:
            raise ValueError(secret)
        except ValueError as error:
            raise RuntimeError(f"because of {secret}") from error
    except RuntimeError:
        traceback.print_exc()


def by_another_program(chance: random.Random, secret: str) -> None:
    code = "import sys; sys.stdout.write(sys.stdin.read())"
    subprocess.run([sys.executable, "-S", "-c", code], input=f"echo {secret}\n".encode(), check=True)


def below_python(chance: random.Random, secret: str) -> None:
    data = f"fd {secret}\n".encode()
    at = chance.randrange(len(data))
    os.write(1, data[:at])
    os.write(chance.choice([1, 1, 2]), data[at:])


def in_a_thread(chance: random.Random, secret: str) -> None:
    thread = threading.Thread(target=tell, args=(chance, secret))
    thread.start()
    thread.join()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(print, ["from a pool", secret]))


WAYS: tuple[Tell, ...] = (
    plainly, in_pieces, by_characters, without_an_end, as_a_bar, in_colours, in_a_long_line, in_other_forms,
    side_by_side, by_loggers, in_a_traceback, by_another_program, below_python, in_a_thread,
)  # fmt: skip


def tell(chance: random.Random, secret: str) -> None:
    chance.choice(WAYS)(chance, secret)


# --- where it is told ------------------------------------------------------------------------------------------------


class Login(BaseModel):
    user: str
    password: SecretStr


@task(task_run_name="{secret}-run", tags=["a-tag"])
def told(seed: int, secret: str) -> str:
    tell(random.Random(seed), secret)
    return secret


@task
async def told_async(seed: int, secret: str) -> dict[str, Any]:
    print("before", secret, end=" ")
    await asyncio.sleep(0)
    tell(random.Random(seed), secret)
    return {"result": [secret]}


@task(retries=1)
def retried(seed: int, secret: str) -> None:
    tell(random.Random(seed), secret)
    raise ValueError("x" * random.Random(seed).randint(1950, 2010) + secret)


@task(persist_result=True)
def kept(secret: str, size: int) -> Any:
    return [secret, "x" * size]


@task(persist_result=True, result_serializer="compressed/json", result_storage_key="{secret}/of-{size}")
def compressed(secret: str, size: int) -> Any:
    return {"secret": secret * 3, "size": size}


@task(cache_key_fn=lambda context, parameters: f"key {parameters['secret']}")
def cached(secret: str) -> str:
    return secret


@task(cache_policy=INPUTS)
def cached_by_inputs(login: Login) -> Login:
    return login


@task
def returned(secret: str) -> Any:
    return Failed(message=f"said {secret}", details={"why": [secret, {secret: 1}]}, name=f"Not {secret}"[:30])


@task(timeout_seconds=0.05, task_run_name="slow-{secret}")
def timed_out(secret: str) -> None:
    print(secret, end="")
    time.sleep(5)


@task
def items(secret: str) -> Iterator[str]:
    print("item", secret)
    yield secret


@task(isolation="process")
def isolated(seed: int, secret: str) -> str:
    chance = random.Random(seed)
    for way in (plainly, in_pieces, by_loggers, in_a_traceback):
        way(chance, secret)
    if chance.random() < 0.3:
        os.kill(os.getpid(), signal.SIGKILL)
    if chance.random() < 0.3:
        raise ValueError(secret)
    return secret


@task(log_prints=False)
def quiet(seed: int, marks: int) -> None:
    ways = (plainly, in_pieces, by_characters, as_a_bar, in_a_traceback, by_another_program, below_python)
    for way in (*ways, without_an_end):
        way(random.Random(seed), only_for_the_terminal(marks))
    thread = threading.Thread(target=print, args=(only_for_the_terminal(marks),))
    thread.start()
    thread.join()


def only_for_the_terminal(seed: int) -> str:
    return marks(seed)[seed % 3]


def hook(of: Any, run: Any, state: Any) -> None:
    print("hook", state.message, run.name)


@flow(flow_run_name="{secret} below", on_completion=[hook])
def subflow(seed: int, secret: str) -> Any:
    tell(random.Random(seed), secret)
    return Completed(message=secret, data=[secret])


def situations(seed: int, chance: random.Random, secret: str) -> list[Callable[[], Any]]:
    login = Login(user="ada", password=SecretStr(secret))
    number = chance.randrange(1 << 30)
    return [
        lambda: tell(chance, secret),
        lambda: told(number, secret),
        lambda: asyncio.run(told_async(number, secret)),
        lambda: told.map([number, number + 1], secret).wait(),
        lambda: retried(number, secret, return_state=True),
        lambda: kept(secret, chance.choice([0, 50_000])),
        lambda: compressed(secret, number),
        lambda: (cached(secret), cached(secret)),
        lambda: (cached_by_inputs(login), cached_by_inputs(login)),
        lambda: returned(secret, return_state=True),
        lambda: timed_out(secret, return_state=True),
        lambda: list(items(secret)),
        lambda: subflow(number, secret),
        lambda: isolated(number, secret, return_state=True),
        lambda: isolated.submit(number, secret).wait(),
        lambda: quiet(number, seed),
        lambda: threading.Thread(target=told, args=(number, secret)).start(),
    ]


def work(seed: int, ending: str, count: int) -> Any:
    chance = random.Random(seed)
    known = secrets(seed)
    for _ in range(count):
        chance.choice(situations(seed, chance, chance.choice(known)))()
    secret = chance.choice(known)
    quiet(1, seed)
    print("the end is near", secret)
    print("at last:", secret, end="")
    if ending == "raise":
        raise RuntimeError(f"ends with {secret}")
    if ending == "sys.exit":
        sys.exit(secret)
    if ending == "os._exit":
        os._exit(7)
    if ending in ("SIGKILL", "SIGTERM"):
        os.kill(os.getpid(), getattr(signal, ending))
        time.sleep(30)
    if ending == "unended":
        Path(os.environ["READY"]).touch()
        while True:
            tell(chance, chance.choice(known))
            time.sleep(0.01)
    return {"all": known}


@flow(log_prints=True, flow_run_name="{secret}/{login.user}")
def prints(seed: int, ending: str, count: int, secret: str, login: Login) -> Any:
    return work(seed, ending, count)


@flow(log_prints=True, capture="all", task_runner=ProcessPoolTaskRunner(max_workers=1))
def everything(seed: int, ending: str, count: int, secret: str, login: Login) -> Any:
    return work(seed, ending, count)


def run(seed: int, ending: str, count: int) -> None:
    reveal(seed)
    known = secrets(seed)
    chosen = everything if seed % 2 else prints
    given: Any = {"user": "ada", "password": known[2]}
    chosen(seed, ending, count, known[3], given)


if __name__ == "__main__" and sys.argv[0] == __file__:
    run(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
