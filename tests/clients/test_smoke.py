import asyncio
from session_store import AsyncClient, Client, session_id_of, NotFound, PreconditionFailed
from tests.people import make_token
import io, pytest


def test_sync(address):
    with Client(
        address + "/api/v1",
        make_token(
            "acme",
            "alice",
            scope="sessions:read sessions:write tenant-values:read tenant-values:write sessions:act-for-user sessions:import",
        ),
    ) as c:
        s = c.sessions.create(domain_id="d", key="a/b#1", metadata={"a": 1})
        assert s.session_id == session_id_of("a/b#1")
        r = c.messages.append(s.session_id, role="user", content="hé\ud800")
        a = c.messages.append_many(
            s.session_id,
            [{"role": "user", "content": n} for n in range(5)],
            values={"session": [{"put": "x", "json": 1}]},
        )
        assert a.values["session"][0].ok, a
        assert [m.content for m in c.messages.list(s.session_id, limit=2)] == [
            "hé\ud800",
            0,
            1,
            2,
            3,
            4,
        ]
        o = c.sessions.get(s.session_id, messages=2, values="")
        assert [m.content for m in o.messages] == [3, 4] and o.values[0].content == 1
        assert c.sessions.update(s.session_id, metadata={"b": 2}).metadata == {"a": 1, "b": 2}
        v = c.session_values(s.session_id)
        v.put("a b/é.ü", {"x": None})
        got = v.get("a b/é.ü")
        assert got.content == {"x": None}
        v.upload("f", io.BytesIO(b"abc" * 100000), content_type="image/png")
        assert v.get("f").content == b"abc" * 100000 and v.get("f").content_type == "image/png"
        v.upload("g", (b"x" for _ in range(10)), content_type="text/plain")
        assert v.get("g").content == b"x" * 10
        assert [x.name for x in v.list(names_only=True, limit=1)] == ["a b/é.ü", "f", "g", "x"]
        with pytest.raises(PreconditionFailed):
            v.put("x", 1, only_new=True)
        v.patch("a b/é.ü", {"y": 2})
        assert v.batch([{"get": "a b/é.ü"}, {"list": "f"}, {"get": "nope"}])[0].value.content == {
            "x": None,
            "y": 2,
        }
        p = c.messages.pop(s.session_id, 2)
        assert [m.content for m in p.messages] == [3, 4]
        f = c.sessions.fork(s.session_id, title="copy")
        c.messages.put_feedback(s.session_id, r.message_id, True)
        assert c.messages.get(s.session_id, r.message_id).feedback[0].rating is True
        e = c.messages.edit(s.session_id, r.message_id, content="new")
        c.messages.replace(s.session_id, [{"role": "user", "content": "z"}], after=r.message_id)
        assert c.messages.delete_after(s.session_id, r.message_id) == 1
        bob = c.acting_for("bob")
        assert list(bob.sessions.list()) == []
        assert len(list(c.sessions.list())) == 2
        assert [l["type"] for l in c.export()][0] == "user"
        assert c.sessions.delete(s.session_id) == 1
        with pytest.raises(NotFound):
            c.sessions.get(s.session_id)
        c.sessions.import_(
            [{"role": "user", "content": 1, "created_at": "2024-01-01T00:00:00Z"}], domain_id="d"
        )
        print(c.sessions.delete_all())
        assert c.tenant_values.find("x") is None


def test_async(address):
    async def run():
        async with AsyncClient(address + "/api/v1", make_token("acme", "alice")) as c:
            s = await c.sessions.create(domain_id="d", key="k")
            await c.messages.append(s.session_id, role="user", content=1)
            assert [m.content async for m in c.messages.list(s.session_id)] == [1]

            async def gen():
                yield b"1"

            await c.session_values(s.session_id).upload("g", gen())
            assert (await c.session_values(s.session_id).get("g")).content == b"1"

    asyncio.run(run())
