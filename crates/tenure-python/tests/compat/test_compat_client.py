"""Where a client connects is where its locks are; what cannot be carried over is named."""

from __future__ import annotations

import ssl
from typing import Any
from unittest.mock import MagicMock

import pytest
import redis
import redis.asyncio
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.sentinel import Sentinel

from tenure.compat._client import url_of
from tenure.compat.distributed_lock import DistributedLock
from tenure.compat.redis import Lock
from tenure.compat.redis.asyncio import Lock as AsyncLock
from tenure.compat.redis_lock_guide import RedisLock

NONE = {"socket_timeout": None, "socket_connect_timeout": None}


def test_the_url_has_the_place_the_login_and_the_limits() -> None:
    for client, url in [
        (redis.Redis(**NONE), "redis://localhost:6379/0"),
        (redis.Redis(socket_timeout=2, socket_connect_timeout=0.5),
         "redis://localhost:6379/0?connect_timeout=500ms&call_timeout=2000ms"),
        (redis.Redis("::1", 7000, 3, **NONE), "redis://[::1]:7000/3"),
        (redis.Redis(password="p@/:", **NONE), "redis://:p%40%2F%3A@localhost:6379/0"),
        (redis.Redis(username="u", password=b"p", **NONE), "redis://u:p@localhost:6379/0"),
        (redis.Redis(unix_socket_path="/run/a b", db=2, **NONE), "redis+unix:///run/a%20b?db=2"),
        (redis.Redis.from_url("redis://u:p@h:1/4"), "redis://u:p@h:1/4"),
        (redis.Redis.from_url("unix://:p@/run/s?db=1"), "redis+unix://:p@/run/s?db=1"),
        (
            redis.Redis(connection_pool=redis.BlockingConnectionPool(host="h")),
            "redis://h:6379/0",
        ),
        (redis.Redis(socket_timeout=0.25, socket_connect_timeout=None),
         "redis://localhost:6379/0?call_timeout=250ms"),
    ]:
        assert url_of(client, False) == url


def test_tls_brings_its_files() -> None:
    client = redis.Redis("h", ssl=True, ssl_ca_certs="/ca", **NONE)
    assert url_of(client, False) == "rediss://h:6379/0?ca=%2Fca"
    client = redis.Redis("h", ssl=True, ssl_certfile="/c", ssl_keyfile="/k", **NONE)
    assert url_of(client, False) == "rediss://h:6379/0?cert=%2Fc&key=%2Fk"
    client = redis.Redis("h", ssl=True, ssl_certfile="/both", **NONE)
    assert url_of(client, False) == "rediss://h:6379/0?cert=%2Fboth&key=%2Fboth"
    waiting = redis.asyncio.Redis(host="h", ssl=True, ssl_cert_reqs=ssl.CERT_REQUIRED, **NONE)
    assert url_of(waiting, True) == "rediss://h:6379/0"


@pytest.mark.parametrize("manager, is_async", [(Sentinel, False), (AsyncSentinel, True)])
def test_sentinels_bring_their_own_login(manager: Any, is_async: bool) -> None:
    places = [("s1", 26379), ("s2", 1)]
    client = manager(places).master_for("main", db=2, username="u", password="p")
    assert url_of(client, is_async) == "redis+sentinel://u:p@s1:26379,s2:1/main/2?sentinel_tls=no"
    own = {"username": "w", "password": "q&", "ssl": True, "ssl_ca_certs": "/ca"}
    client = manager(places, sentinel_kwargs=own).master_for("my main", ssl=True)
    assert url_of(client, is_async) == (
        "rediss+sentinel://s1:26379,s2:1/my%20main/0?sentinel_tls=yes&sentinel_user=w"
        "&sentinel_password=q%26&sentinel_ca=%2Fca"
    )


def test_a_cluster_client_brings_the_nodes_that_the_program_named() -> None:
    nodes = [redis.asyncio.cluster.ClusterNode(host, 7000) for host in ("n1", "n2")]
    client = redis.asyncio.RedisCluster(startup_nodes=nodes, password="p", ssl=True, **NONE)
    assert url_of(client, True) == "rediss+cluster://:p@n1:7000,n2:7000"


class _OwnConnection(redis.Connection):
    """A connection class of a program's own."""


class _OwnPool(redis.ConnectionPool):
    """A pool of a program's own."""


class _Credentials(redis.CredentialProvider):
    """A login that changes."""


def _remap(address: tuple[str, int]) -> tuple[str, int]:
    return address


def _sync_refusals() -> list[tuple[str, Any, str]]:
    pool = redis.ConnectionPool
    manager = Sentinel([("s", 1)])
    forced = Sentinel([("s", 1)], force_master_ip="10.0.0.1")
    apart = Sentinel([("s", 1), ("t", 1)])
    apart.sentinels[1] = redis.Redis("t", 1, password="other")
    return [
        ("no client", object(), "builtins.object"),
        ("a mock", MagicMock(spec=redis.Redis), "unittest.mock.MagicMock"),
        ("asyncio", redis.asyncio.Redis(), "redis.asyncio.client.Redis"),
        ("a pipeline", redis.Redis().pipeline(), "redis.client.Pipeline"),
        ("pool", redis.Redis(connection_pool=_OwnPool()), "_OwnPool"),
        ("class", redis.Redis(connection_pool=pool(_OwnConnection)), "_OwnConnection"),
        ("provider", redis.Redis(credential_provider=_Credentials()), "credential_provider"),
        ("hook", redis.Redis(redis_connect_func=print), "redis_connect_func"),
        ("unknown", redis.Redis(connection_pool=pool(novel=1)), "novel"),
        ("user", redis.Redis(username="u"), "'u' without a password"),
        ("limit", redis.Redis(socket_timeout=0.001), "socket_timeout=0.001"),
        ("host", redis.Redis("h/../x"), "h/../x"),
        ("unchecked", redis.Redis(ssl=True, ssl_cert_reqs="none"), "ssl_cert_reqs"),
        ("any name", redis.Redis(ssl=True, ssl_check_hostname=False), "ssl_check_hostname"),
        ("ca data", redis.Redis(ssl=True, ssl_ca_data="x"), "ssl_ca_data"),
        ("ca path", redis.Redis(ssl=True, ssl_ca_path="/x"), "ssl_ca_path"),
        ("key password", redis.Redis(ssl=True, ssl_password="x"), "ssl_password"),
        ("key alone", redis.Redis(ssl=True, ssl_keyfile="/x"), "ssl_keyfile"),
        ("ciphers", redis.Redis(ssl=True, ssl_ciphers="x"), "ssl_ciphers"),
        (
            "version",
            redis.Redis(ssl=True, ssl_min_version=ssl.TLSVersion.TLSv1_3),
            "ssl_min_version",
        ),
        ("replicas", manager.slave_for("main"), "slave_for"),
        ("forced", forced.master_for("main"), "force_master_ip"),
        ("others", Sentinel([("s", 1)], 2).master_for("main"), "min_other_sentinels"),
        ("apart", apart.master_for("main"), "different passwords"),
    ]


def _async_refusals() -> list[tuple[str, Any, str]]:
    waiting = redis.asyncio
    remapped = waiting.RedisCluster("h", address_remap=_remap)
    login = waiting.RedisCluster("h", credential_provider=_Credentials())
    return [
        ("sync", redis.Redis(), "redis.client.Redis"),
        ("a mock", MagicMock(spec=waiting.Redis), "unittest.mock.MagicMock"),
        ("a pipeline", waiting.Redis().pipeline(), "redis.asyncio.client.Pipeline"),
        ("provider", waiting.Redis(credential_provider=_Credentials()), "credential_provider"),
        ("unchecked", waiting.Redis(ssl=True, ssl_cert_reqs="none"), "ssl_cert_reqs"),
        ("remapped", remapped, "address_remap"),
        ("cluster login", login, "credential_provider"),
    ]


def _cases(refusals: list[tuple[str, Any, str]]) -> list[Any]:
    return [pytest.param(*each, id=each[0]) for each in refusals]


@pytest.mark.parametrize("why, refused, named", _cases(_sync_refusals()))
def test_a_client_that_cannot_be_carried_over_is_refused_and_named(
    why: str, refused: Any, named: str
) -> None:
    with pytest.raises(ValueError, match="tenure.compat cannot use") as error:
        Lock(refused, why)
    assert named in str(error.value)
    with pytest.raises(ValueError, match="tenure.compat cannot use"):
        RedisLock(refused, why)


@pytest.mark.parametrize("why, refused, named", _cases(_async_refusals()))
def test_a_client_of_asyncio_is_refused_in_the_same_way(
    why: str, refused: Any, named: str
) -> None:
    with pytest.raises(ValueError, match="tenure.compat cannot use") as error:
        AsyncLock(refused, why)
    assert named in str(error.value)
    with pytest.raises(ValueError, match="tenure.compat cannot use"):
        DistributedLock(refused, why)


class _Prefix:
    """Puts a prefix before each key, as kombu's client does."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        return super().execute_command(  # type: ignore[misc]
            args[0], f"app:{args[1]}", *args[2:], **options
        )


class _Prefixed(_Prefix, redis.Redis):
    """For threads."""


class _PrefixedCluster(_Prefix, redis.RedisCluster):
    """For threads and a cluster."""

    def __init__(self) -> None:
        """Connects to nothing."""


class _AsyncPrefixed(_Prefix, redis.asyncio.Redis):
    """For asyncio."""


class _AsyncPrefixedCluster(_Prefix, redis.asyncio.RedisCluster):
    """For asyncio and a cluster."""


class _PrefixedSet(redis.Redis):
    """One command has a prefix."""

    def set(self, name: Any, *args: Any, **options: Any) -> Any:
        return super().set(f"app:{name}", *args, **options)


class _OwnPipeline(redis.Redis):
    """Pipelines are those of the program."""

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Any:
        raise NotImplementedError


class _Harmless(redis.Redis):
    """Has more methods, and another way to close."""

    def fetch(self, name: str) -> Any:
        return self.get(name)

    def close(self) -> None:
        super().close()


@pytest.mark.parametrize(
    "method, make, lock",
    [
        ("execute_command", _Prefixed, Lock),
        ("execute_command", _PrefixedCluster, Lock),
        ("execute_command", _AsyncPrefixed, AsyncLock),
        ("execute_command", lambda: _AsyncPrefixedCluster("h"), AsyncLock),
        ("set", _PrefixedSet, Lock),
        ("pipeline", _OwnPipeline, Lock),
    ],
)
def test_a_client_that_may_send_to_other_keys_is_refused(method: str, make: Any, lock: Any) -> None:
    client = make()
    with pytest.raises(ValueError, match="tenure.compat cannot use") as error:
        lock(client, "key")
    assert f"{type(client).__qualname__}: its method {method} is not" in str(error.value)


def test_a_client_that_the_program_has_patched_is_refused() -> None:
    client = redis.Redis(**NONE)
    assert url_of(client, False) == "redis://localhost:6379/0"
    client.execute_command = print  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="its method execute_command"):
        url_of(client, False)


def test_a_subclass_that_sends_as_redis_py_does_is_carried_over() -> None:
    assert url_of(_Harmless(**NONE), False) == "redis://localhost:6379/0"


def test_fakeredis_is_refused_by_its_name() -> None:
    fakeredis = pytest.importorskip("fakeredis")
    with pytest.raises(ValueError, match=r"tenure.compat cannot use .*fakeredis"):
        Lock(fakeredis.FakeRedis(), "key")


def test_no_refusal_tells_a_password() -> None:
    client = redis.Redis(password="secret", socket_timeout=0.001)
    with pytest.raises(ValueError) as error:
        Lock(client, "key")
    assert "secret" not in str(error.value)
