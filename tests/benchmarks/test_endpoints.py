"""Where engines are called: our server's, one that lacks an engine, one that never comes up."""

import socket
from pathlib import Path

import pytest

from benchmarks.caller.call import BadAddress
from benchmarks.server.child import ServerFailed
from benchmarks.server.endpoints import Foreign, Own, discover, listening
from tests.benchmarks.scripted_engines import Launcher, ScriptedServer, answering
from tests.benchmarks.scripted_server import Served, ready, serving

BOTH = {"cascade": answering(), "s2s": answering()}


@pytest.fixture
def launcher():
    made = Launcher(BOTH, lacking={})
    yield made
    made.close()


def own(start, engines=("cascade", "s2s"), tmp: Path = Path("server.log")) -> Own:
    return Own(tmp, "starter", {"limits.max_calls": "2"}, engines, start)


def test_one_server_for_both_engines(launcher):
    server = own(launcher)
    assert server.offer.addresses == {
        e: f"{server.offer.base.replace('http', 'ws')}/ws?engine={e}" for e in ("cascade", "s2s")
    }
    assert server.offer.missing == {}
    assert server.offer.models() == {e: {"asr": "starter/none"} for e in BOTH}
    [flags] = launcher.arguments
    assert [*flags] == [
        *("--profile", "starter", "--set", "limits.max_calls=2"),
        *("--set", 'engines=["cascade", "s2s"]', "--set", "engine=cascade"),
    ]
    assert server.alive()
    server.close()
    assert not server.alive()
    assert server.restart()
    assert server.alive()


@pytest.mark.parametrize("lacking", ["cascade", "s2s"])
def test_the_engine_that_cannot_run_is_named_and_the_other_runs(lacking):
    launcher = Launcher(BOTH, lacking={lacking: "no weights at 'starter/x'"})
    server = own(launcher)
    [other] = {"cascade", "s2s"} - {lacking}
    assert [*server.offer.addresses] == [other]
    assert server.offer.missing == {lacking: "no weights at 'starter/x'"}
    assert len(launcher.servers) == 1
    launcher.close()


def test_a_server_that_never_comes_up_is_every_engines_reason():
    def never(log, arguments):
        raise ServerFailed("the server was not ready after 300 s")

    server = own(never)
    assert server.offer.addresses == {}
    assert {*server.offer.missing} == {"cascade", "s2s"}
    assert "not ready" in server.offer.missing["s2s"]


def test_a_foreign_server_says_what_it_has():
    server = ScriptedServer({"cascade": answering()}, missing={"s2s": "runs without it"})
    try:
        found = discover(server.url)
        assert [*found.addresses] == ["cascade"]
        assert found.missing == {}
        found = discover(server.url, ("s2s", "cascade", "x"))
        assert found.missing == {"s2s": "runs without it", "x": "the server knows no such engine"}
        assert Foreign(found).alive()
        assert not Foreign(found).restart()
    finally:
        server.stop()
    assert not listening(server.url)
    with pytest.raises(BadAddress, match="nobody answers"):
        discover(server.url)


def test_another_bot_is_one_engine_named_by_its_host():
    async def mute(served: Served) -> None:
        await ready(served)

    with serving(mute) as host:
        assert discover(host).addresses == {host: f"ws://{host}/ws"}
        moshi = discover(f"ws://{host}/api/chat")
        assert moshi.addresses == {host: f"ws://{host}/api/chat"}
        asked = discover(host, ("cascade",))
        assert [*asked.addresses] == [host]
        assert "cascade" in asked.missing


def test_nobody_at_an_address_is_a_sentence():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        with pytest.raises(BadAddress, match="is the server running"):
            discover(f"127.0.0.1:{s.getsockname()[1]}")
