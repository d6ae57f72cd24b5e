"""What of a cluster needs no cluster: plans, the policy, and what stands around an application."""

import asyncio
import socket
import urllib.request
from collections import namedtuple
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from starlette.types import Message, Receive, Scope, Send
from typer.testing import CliRunner

from maata.cli import app as cli
from maata.profile import Profile, ServerSettings, load_profile
from pipelines.cluster import proxy
from pipelines.cluster.front import HEADER, Front
from pipelines.cluster.plan import ClusterError, Plan, check_room, gpus_needed, make_plan
from pipelines.cluster.proxy import CallEnds
from pipelines.cluster.run import free_port
from pipelines.cluster.scaling import CALLS, FreeLines
from pipelines.cluster.scrape import serve_metrics
from pipelines.request import NOT_READY

Sample = namedtuple("Sample", "timestamp value")


@pytest.mark.parametrize(
    ("text", "least", "most"), [("1", 1, 1), ("3", 3, 3), ("1:4", 1, 4), (2, 2, 2)]
)
def test_replicas_are_a_number_or_a_range(text, least, most):
    plan = make_plan(load_profile("starter"), text)
    assert (plan.least, plan.most, plan.grows) == (least, most, most > least)


@pytest.mark.parametrize("text", ["0", "-1", "2:1", "a", "1:", ":2", "1:2:3", "1.5", ""])
def test_other_replicas_are_refused_with_an_example(text):
    with pytest.raises(ClusterError, match="1:4"):
        make_plan(load_profile("starter"), text)


@pytest.mark.parametrize(
    ("profile", "settings", "gpus"),
    [
        ("starter", {}, 0),
        ("l4", {}, 1),
        ("h100", {}, 1),
        ("starter", {"cascade.asr.device": "cuda"}, 1),
        # Not in the replica: behind an address, in an engine that is not served, espeak's.
        ("starter", {"cascade.llm.device": "cuda", "cascade.llm.backend": "openai"}, 0),
        ("starter", {"cascade.tts.device": "cuda", "cascade.tts.engine": "espeak"}, 0),
        ("starter", {"cascade.tts.device": "cuda"}, 1),
        ("starter", {"s2s.device": "cuda"}, 0),
        ("starter", {"s2s.device": "cuda", "engines": '["cascade", "s2s"]'}, 1),
        ("starter", {"s2s.device": "cuda", "engines": '["s2s"]', "s2s.address": "ipc://x"}, 0),
    ],
)
def test_a_replica_asks_for_a_gpu_when_a_model_of_it_does(profile, settings, gpus):
    assert gpus_needed(load_profile(profile, settings)) == gpus


@pytest.mark.parametrize(("gpus", "words"), [(-1, "share"), (1.5, "share"), (0, "device")])
def test_impossible_gpus_are_refused(gpus, words):
    with pytest.raises(ClusterError, match=words):
        make_plan(load_profile("l4"), gpus=gpus)


@pytest.mark.parametrize(
    ("least", "each", "machines", "fits"),
    [
        (2, 0, [0], True),
        (2, 1, [1, 1], True),
        (2, 1, [1, 0], False),
        (1, 2, [1, 1], False),  # a replica lives on one machine
        (4, 0.5, [2], True),
        (3, 0.5, [1], False),
        (2, 0.6, [1, 1], True),
        (3, 0.6, [2, 0], False),  # a share is of one GPU
    ],
)
def test_more_gpus_than_there_are_is_said_with_numbers(least, each, machines, fits):
    plan = Plan(least, least, each)
    if fits:
        check_room(plan, machines)
        return
    with pytest.raises(ClusterError, match=f"room for .* {sum(machines):g} GPU.*--replicas"):
        check_room(plan, machines)


def decide(calls: list[list[float]], lines: int = 8, spare: int = 2) -> float:
    """What the policy wants when replicas reported these numbers of calls, newest last."""
    series = {f"r{n}": [Sample(t, v) for t, v in enumerate(own)] for n, own in enumerate(calls)}
    context: Any = SimpleNamespace(raw_metrics={CALLS: series})
    return FreeLines(lines, spare)(context)[0]


def test_replicas_follow_the_lines_that_are_free():
    assert decide([[0]]) == 1
    assert decide([[6]]) == 1  # two are free
    assert decide([[7]]) == 2  # one is
    assert decide([[8], [6]]) == 2
    assert decide([[8], [7]]) == 3
    assert decide([[0], [0], [1]]) == 1
    assert decide([[8], []]) == 2  # one that has not reported yet has no calls
    assert decide([[0, 0, 0, 7]]) == 2  # the newest, not a mean
    assert decide([]) == 1


@pytest.mark.parametrize("raw", [None, {}, {"other": {"r": [Sample(0, 9)]}}])
def test_without_reports_one_replica_is_wanted(raw):
    context: Any = SimpleNamespace(raw_metrics=raw)
    assert FreeLines(8, 2)(context) == (1, {})


class Socket:
    """A WebSocket as an ASGI server has it: what comes in, and what was sent."""

    def __init__(self, *incoming: Message) -> None:
        self._incoming = list(incoming)
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        return self._incoming.pop(0)

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def run(self, app: Any) -> None:
        await app({"type": "websocket"}, self.receive, self.send)

    def kinds(self) -> list[str]:
        return [m["type"].removeprefix("websocket.") for m in self.sent]


async def accepts(scope: Scope, receive: Receive, send: Send) -> None:
    """What Ray's proxy does when the replica dies: it was accepted, and nothing more comes."""
    await send({"type": "websocket.accept"})


async def answers_http(scope: Scope, receive: Receive, send: Send) -> None:
    """What Ray's proxy does without a route: an HTTP answer, which is none on a WebSocket."""
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b"no such route"})


async def test_a_dropped_call_ends_with_a_reason_on_which_the_page_dials_again():
    line = Socket()
    await line.run(CallEnds(accepts))
    assert line.kinds() == ["accept", "close"]
    assert (line.sent[1]["code"], line.sent[1]["reason"]) == (NOT_READY, proxy.LOST)
    assert len(proxy.LOST.encode()) <= 123  # what a close frame holds


async def test_a_call_that_nobody_can_take_is_let_in_to_be_told():
    line = Socket()
    await line.run(CallEnds(answers_http))
    assert line.kinds() == ["accept", "close"]
    assert (line.sent[1]["code"], line.sent[1]["reason"]) == (NOT_READY, proxy.NOBODY)


async def test_what_a_replica_or_a_caller_ended_is_left_as_it_is():
    async def closes(scope: Scope, receive: Receive, send: Send) -> None:
        await accepts(scope, receive, send)
        await send({"type": "websocket.close", "code": 4429, "reason": "busy"})

    async def hears_the_end(scope: Scope, receive: Receive, send: Send) -> None:
        await accepts(scope, receive, send)
        await receive()

    line = Socket()
    await line.run(CallEnds(closes))
    assert [m.get("code") for m in line.sent] == [None, 4429]
    gone = Socket({"type": "websocket.disconnect", "code": 1001})
    await gone.run(CallEnds(hears_the_end))
    assert gone.kinds() == ["accept"]


async def test_a_proxy_that_fails_still_tells_the_caller():
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        await accepts(scope, receive, send)
        raise RuntimeError("the replica's actor died")

    line = Socket()
    with pytest.raises(RuntimeError):
        await line.run(CallEnds(fails))
    assert line.sent[-1]["code"] == NOT_READY


async def test_pages_pass_the_proxy_untouched():
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    receive: Any = None
    await CallEnds(answers_http)({"type": "http"}, receive, send)
    assert [m["type"] for m in sent] == ["http.response.start", "http.response.body"]


async def hear(line: Socket, heard: list[Message]) -> None:
    """An application that listens until the line is over."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept", "headers": [(b"a", b"b")]})
        while not heard or heard[-1]["type"] != "websocket.disconnect":
            heard.append(await receive())

    await line.run(Front(app, "abc", longest=100))


@pytest.mark.parametrize("kind", ["bytes", "text"])
async def test_a_message_over_the_bound_ends_the_call(kind):
    big = "x" * 101 if kind == "text" else b"x" * 101
    fits = {"type": "websocket.receive", kind: big[:100]}
    line, heard = Socket(fits, {"type": "websocket.receive", kind: big}), []
    await asyncio.wait_for(hear(line, heard), 1)
    assert heard == [fits, {"type": "websocket.disconnect", "code": 1009}]
    assert line.kinds() == ["accept", "close"]
    assert line.sent[0]["headers"] == [(b"a", b"b"), (HEADER, b"abc")]
    assert line.sent[1]["code"] == 1009  # as without Ray: RFC 6455, message too big


def test_each_replica_of_a_machine_has_a_port_for_its_metrics():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        first = taken.getsockname()[1]
        settings = ServerSettings(metrics_port=first)
        port = serve_metrics(CollectorRegistry(), settings, "abc")
        assert first < port < first + 16
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
            assert 'maata_replica_info{pid="' in (said := reply.read().decode())
            assert 'replica="abc"' in said
    assert serve_metrics(CollectorRegistry(), Profile().server, "abc") == 0


def test_a_port_in_use_names_the_remedy():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ClusterError, match="--port"):
            free_port("127.0.0.1", other.getsockname()[1])
    assert free_port("127.0.0.1", 0) > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--replicas", "2"], "--replicas is of --ray"),
        (["--gpus", "1"], "--gpus is of --ray"),
        (["--address", "auto"], "--address is of --ray"),
        (["--ray", "--replicas", "2:1"], "1:4"),
        (["--ray", "--profile", "l4", "--gpus", "0"], "device = 'cuda'"),
        (["--ray", "--gpus", "1", "--replicas", "99"], "lower --replicas or --gpus"),
        (["--ray", "--address", "127.0.0.1:9"], "ray start --head"),
        (["--ray", "--address", "nonsense"], "ray start --head"),
    ],
)
@pytest.mark.usefixtures("log_as_before")
def test_mistakes_get_a_sentence(arguments, words, monkeypatch):
    monkeypatch.setattr("pipelines.cluster.plan.importlib.util.find_spec", lambda name: True)
    result = CliRunner().invoke(cli, ["serve", "--port", "0", *arguments])
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.usefixtures("log_as_before")
def test_without_ray_the_remedy_is_named(monkeypatch):
    monkeypatch.setattr("pipelines.cluster.plan.importlib.util.find_spec", lambda name: None)
    result = CliRunner().invoke(cli, ["serve", "--ray"])
    assert result.exit_code == 2
    assert "install maata[ray]" in result.stderr
