"""Handshakes, two sides run against each other and against liars, without a connection."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from jobqueue.comm import handshake as module
from jobqueue.comm.handshake import PROTOCOL_VERSION, Handshake, Redundant, Terms, introduce
from jobqueue.errors import AuthenticationFailed, CommError, FrameError, HandshakeRefused
from jobqueue.protocol.frames import HANDSHAKE_LIMITS, Message, encode

TOKEN = b"t" * 32
SERVER = {"role": "scheduler", "name": "s"}
CLIENT = {"role": "worker", "name": "w"}


def sides(
    token: bytes | None = None, client_token: bytes | None = None
) -> tuple[Handshake, Handshake]:
    """A client and a server, over plain TCP if there is a token."""
    client = Terms(CLIENT, {"scheduler"}, token=client_token or token)
    server = Terms(SERVER, {"worker", "client"}, token=token)
    return Handshake(client, server=False), Handshake(server, server=True)


def converse(client: Handshake, server: Handshake) -> list[tuple[str, Message]]:
    """Run both sides against each other and note who said what."""
    said = [("client", m) for m in client.begin()] + [("server", m) for m in server.begin()]
    for who, message in said:
        listener, name = (server, "server") if who == "client" else (client, "client")
        said.extend((name, answer) for answer in listener.receive(message))
    return said


def test_by_certificate_or_uid_it_takes_three_messages() -> None:
    """Over TLS and Unix sockets the server begins, and both end up with the other's hello."""
    client, server = sides()
    said = [(who, message[0]) for who, message in converse(client, server)]
    assert said == [("server", "hello"), ("client", "hello"), ("server", "welcome")]
    assert client.done
    assert server.done
    assert (client.peer, server.peer) == (SERVER, CLIENT)


def test_over_plain_tcp_both_prove_themselves_first() -> None:
    """No hello is said before its reader has proved that it knows the token."""
    client, server = sides(TOKEN)
    said = [(who, message[0]) for who, message in converse(client, server)]
    assert said == [
        ("client", "challenge"),
        ("server", "challenge"),
        ("client", "proof"),
        ("server", "proof"),
        ("server", "hello"),
        ("client", "hello"),
        ("server", "welcome"),
    ]
    assert client.done
    assert server.done


def test_a_connection_that_is_not_wanted_any_more_ends_before_the_hello() -> None:
    """The listening side never hears who it was, and is told that nothing is wrong."""
    client = Handshake(Terms(CLIENT, {"scheduler"}, wanted=lambda: False), server=False)
    server = sides()[1]
    (hello,) = server.begin()
    with pytest.raises(Redundant) as refused:
        client.receive(hello)
    (farewell,) = client.farewell(refused.value)
    with pytest.raises(Redundant, match="another address answered first"):
        server.receive(farewell)
    assert server.peer == {}


def test_every_message_fits_the_limits_of_strangers() -> None:
    """Handshakes are held to small limits, so their own messages must keep to them."""
    for _, message in converse(*sides(TOKEN)):
        encode([message], HANDSHAKE_LIMITS)


def test_a_wrong_token_is_refused_by_the_server() -> None:
    """A client with another cluster's token learns why, and nothing about the server."""
    client, server = sides(TOKEN, client_token=b"x" * 32)
    with pytest.raises(AuthenticationFailed, match="does not know this cluster's token") as caught:
        introduce(client, server)
    (farewell,) = server.farewell(caught.value)
    with pytest.raises(AuthenticationFailed, match=r"refused by the peer: .*token"):
        client.receive(farewell)
    assert client.farewell(caught.value) == []


def test_a_server_without_the_token_is_refused_by_the_client() -> None:
    """Proof is needed both ways: who merely accepts every proof gets no hello."""
    client, liar = sides(TOKEN)
    (challenge,) = client.begin()
    (answer,) = liar.receive(challenge)
    client.receive(answer)
    with pytest.raises(AuthenticationFailed, match="does not know"):
        client.receive(("proof", b"\0" * 32))
    assert not client.done


def test_a_reflected_challenge_is_refused() -> None:
    """A peer cannot let us answer our own question, as server or as client."""
    client, server = sides(TOKEN)
    (challenge,) = client.begin()
    with pytest.raises(AuthenticationFailed, match="our own challenge"):
        client.receive(challenge)
    (answer,) = server.receive(challenge)
    other = Handshake(Terms(CLIENT, {"scheduler"}, token=TOKEN), server=False)
    other._nonce = answer[2]
    with pytest.raises(AuthenticationFailed, match="our own challenge"):
        other.receive(answer)


def test_a_reflected_proof_is_refused() -> None:
    """A proof names its side: sent back to who made it, it proves nothing."""
    client, server = sides(TOKEN)
    (challenge,) = client.begin()
    (answer,) = server.receive(challenge)
    (proof,) = client.receive(answer)
    with pytest.raises(AuthenticationFailed, match="does not know"):
        client.receive(proof)


def test_a_replayed_conversation_is_refused() -> None:
    """What an honest client once said, word for word, opens nothing the next time."""
    said = [message for who, message in converse(*sides(TOKEN)) if who == "client"]
    _, server = sides(TOKEN)
    server.receive(said[0])
    with pytest.raises(AuthenticationFailed, match="does not know"):
        server.receive(said[1])
    assert not server.done


def test_a_replayed_server_is_refused() -> None:
    """The same for what an honest server once said."""
    said = [message for who, message in converse(*sides(TOKEN)) if who == "server"]
    client, _ = sides(TOKEN)
    client.begin()
    client.receive(said[0])
    with pytest.raises(AuthenticationFailed, match="does not know"):
        client.receive(said[1])


@pytest.mark.parametrize("token", [None, TOKEN])
def test_another_version_is_named_on_both_sides(
    token: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both sides hear which of them speaks which version, and the remedy."""
    client, server = sides(token)
    monkeypatch.setattr(module, "PROTOCOL_VERSION", PROTOCOL_VERSION + 1)
    (first,) = client.begin() if token else server.begin()
    monkeypatch.undo()
    hearer, teller = (server, client) if token else (client, server)
    expected = "connecting side speaks version {} .* listening side version {}; install".format(
        *(
            (PROTOCOL_VERSION + 1, PROTOCOL_VERSION)
            if token
            else (PROTOCOL_VERSION, PROTOCOL_VERSION + 1)
        )
    )
    with pytest.raises(HandshakeRefused, match=expected) as caught:
        hearer.receive(first)
    (farewell,) = hearer.farewell(caught.value)
    with pytest.raises(HandshakeRefused, match=f"refused by the peer: .*{expected}"):
        teller.receive(farewell)


@pytest.mark.parametrize(
    "message",
    [
        ("welcome",),
        ("challenge", PROTOCOL_VERSION, b"n" * 32),
        ("proof", b""),
        ("run", b"payload"),
        ("hello", PROTOCOL_VERSION),
        ("hello", PROTOCOL_VERSION, "me"),
        ("hello", PROTOCOL_VERSION, {1: 2}),
        ("",),
    ],
)
def test_whatever_is_out_of_turn_ends_the_handshake(message: Message) -> None:
    """A peer cannot skip a step, whatever it says of itself."""
    _, server = sides()
    with pytest.raises(FrameError, match=r"where a handshake needs 'hello'|malformed"):
        server.receive(message)
    assert not server.done


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.binary(max_size=40) | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
words = st.sampled_from(["hello", "challenge", "proof", "welcome", "refused"]) | st.text(max_size=9)


@given(
    st.booleans(),
    st.booleans(),
    st.lists(
        st.tuples(words, st.just(PROTOCOL_VERSION) | anything, anything)
        | st.tuples(words, anything)
        | st.tuples(words),
        max_size=4,
    ),
)
def test_no_lie_completes_a_handshake_or_raises_anything_else(
    tcp: bool, server_side: bool, lies: list[Message]
) -> None:
    """Whatever is said, a side without proof answers or raises a CommError; over TCP it never
    believes."""
    side = sides(TOKEN if tcp else None)[server_side]
    side.begin()
    try:
        for lie in lies:
            side.receive(lie)
    except CommError as error:
        side.farewell(error)
    if tcp:
        assert not side.done


def test_a_refusal_shows_what_comes_from_outside_as_such() -> None:
    """A peer's words cannot break a line of the log, nor fill it."""
    client, _ = sides()
    with pytest.raises(AuthenticationFailed) as caught:
        client.receive(("refused", "authentication", "no\nevent=fake \x1b[31m" + "x" * 9999))
    text = str(caught.value)
    assert text.isprintable()
    assert text.startswith("refused by the peer: no?event=fake ?[31m")
    assert len(text) < 600


def test_a_token_is_not_shown() -> None:
    """Terms may be logged."""
    assert "ttt" not in repr(Terms(SERVER, set(), token=TOKEN))
