// node checks.mjs URL v4|v3|msgpack polling|websocket|upgrade
// Runs every check against tests/apps/clients.py and prints one JSON line for each: {"name", "error"}.
// node checks.mjs --list prints {"name", "only": {"versions", "mode"}} for each instead.
import assert from "node:assert/strict";

import { ack, Client, connection, next, sleep, until, upgrade } from "./client.mjs";

const TIMEOUT = 10_000;
const checks = [];

// The msgpack parser damages half an emoji and integers over 64 bits; its packets in a poll are base64, and larger.
const JSON_ONLY = { versions: ["v4", "v3"] };
const MSGPACK_ONLY = { versions: ["msgpack"] };

function check(name, run, only = {}) {
  checks.push({ name, run, only });
}

let tags = 0;
const newTag = () => `tag-${process.pid}-${++tags}`;

check("the server acknowledges with the values that its handler returns", async (client) => {
  const socket = await client.connected();
  assert.deepEqual(await ack(socket, "echo"), []);
  assert.deepEqual(await ack(socket, "echo", 1), [1]);
  assert.deepEqual(await ack(socket, "echo", "two", { three: [3, null, true] }), ["two", { three: [3, null, true] }]);
});

check("an event whose handler returns nothing is acknowledged with nothing", async (client) => {
  const socket = await client.connected();
  assert.deepEqual(await ack(socket, "push", "x"), []);
});

check("the client acknowledges an event that the server emits with a callback", async (client) => {
  const socket = await client.connected();
  socket.on("question", (data, answer) => answer({ heard: data }, 2));
  const told = next(socket, "answered");
  socket.emit("ask", { text: "why" });
  assert.deepEqual(await told, [{ answer: [{ heard: { text: "why" } }, 2] }]);
});

check("a handler that awaits call() gets the client's answer", async (client) => {
  const socket = await client.connected();
  socket.on("question", (data, answer) => setTimeout(() => answer({ heard: data }), 5));
  assert.deepEqual(await ack(socket, "call", ["a", 1]), [{ answer: { heard: ["a", 1] } }]);
});

check("thirty acknowledgements under way at once each find their own call", async (client) => {
  const socket = await client.connected();
  const numbers = [...Array(30).keys()];
  const answers = await Promise.all(numbers.map((number) => ack(socket, "echo", number)));
  assert.deepEqual(answers, numbers.map((number) => [number]));
});

check("binary data arrives at the server as bytes", async (client) => {
  const socket = await client.connected();
  const data = { a: Buffer.from([0, 1, 255]), b: [Buffer.alloc(0), { c: new Uint8Array(300) }], text: "t" };
  assert.deepEqual(await ack(socket, "describe", data), [
    { a: "bytes:3", b: ["bytes:0", { c: "bytes:300" }], text: "t" },
  ]);
});

const nested = () => ({
  first: Buffer.from([0, 1, 2, 253, 254, 255]),
  list: ["text", Buffer.from("žluťoučký"), { deep: { second: Buffer.alloc(1000, 7) }, n: null }],
});

check("nested binary data with several attachments comes back in an acknowledgement", async (client) => {
  const socket = await client.connected();
  assert.deepEqual(await ack(socket, "echo", nested(), Buffer.from("last")), [nested(), Buffer.from("last")]);
});

check("nested binary data with several attachments comes back in an event", async (client) => {
  const socket = await client.connected();
  const pushed = next(socket, "pushed");
  socket.emit("push", nested(), 1, Buffer.from("last"));
  assert.deepEqual(await pushed, [nested(), 1, Buffer.from("last")]);
});

check("NaN and infinity arrive as null, in an event and in an acknowledgement", async (client) => {
  const socket = await client.connected();
  const data = { nan: null, more: [null, { 1: null }], half: "\ud83d", large: 2 ** 64 };
  const pushed = next(socket, "not numbers");
  assert.deepEqual(await ack(socket, "not_numbers"), [data]);
  assert.deepEqual(await pushed, [data]);
}, JSON_ONLY);

check("undefined and dates arrive as None and datetime, and come back as null and dates", async (client) => {
  const socket = await client.connected();
  const dates = [new Date(0), new Date(1732820399123), new Date("0001-01-01T00:00:00Z"), new Date(-1)];
  const [described] = await ack(socket, "kinds", undefined, dates, [undefined, { a: dates[1] }], null);
  assert.deepEqual(described, [
    "None",
    dates.map((date) => `datetime ${date.getTime()}`),
    ["None", { a: `datetime ${dates[1].getTime()}` }],
    "None",
  ]);
  assert.deepEqual(await ack(socket, "echo", undefined, dates), [null, dates]);
}, MSGPACK_ONLY);

check("buffers of one and eight bytes are told from undefined and dates", async (client) => {
  const socket = await client.connected();
  const buffers = [0, 1, 2, 8, 16, 300, 70_000].map((size) => new Uint8Array(size).buffer);
  const sent = [undefined, ...buffers, new Date(0), undefined, new Uint8Array(8), new Date(0)];
  const sizes = buffers.map((buffer) => `bytes ${buffer.byteLength}`);
  const expected = ["None", ...sizes, "datetime 0", "None", "bytes 8", "datetime 0"];
  assert.deepEqual(await ack(socket, "kinds", ...sent), [expected]);
}, MSGPACK_ONLY);

check("what msgpack cannot say in the way of Python arrives as it does in JSON", async (client) => {
  const socket = await client.connected();
  assert.deepEqual(await ack(socket, "peculiar"), [{ 1: "a", null: [1, 2], word: "w", half: "x\ufffd" }]);
}, MSGPACK_ONLY);

check("data that look like a placeholder stay data where there is no attachment", async (client) => {
  const socket = await client.connected();
  const lookalike = { _placeholder: true, num: 5 };
  assert.deepEqual(await ack(socket, "echo", lookalike, [lookalike]), [lookalike, [lookalike]]);
});

check("data that look like the placeholder of an attachment end the connection", async (client) => {
  const socket = await client.connected();
  const gone = next(socket, "disconnect");
  socket.emit("echo", { _placeholder: true, num: 0 }, Buffer.from([1, 2]));
  await gone;
}, JSON_ONLY);

check("data that only resemble a placeholder stay data beside an attachment", async (client) => {
  const socket = await client.connected();
  const sent = [Buffer.from([1, 2]), { _placeholder: false, num: 0 }];
  assert.deepEqual(await ack(socket, "echo", ...sent), sent);
}, JSON_ONLY);

check("data that look like the placeholder of no attachment end the connection, as in Node", async (client) => {
  const socket = await client.connected();
  const gone = next(socket, "disconnect");
  socket.emit("echo", { _placeholder: true, num: 5 }, Buffer.from([1, 2]));
  await gone;
}, JSON_ONLY);

check("the client acknowledges binary data with binary data", async (client) => {
  const socket = await client.connected();
  socket.on("question", (data, answer) => answer({ heard: data, more: [Buffer.from([9, 8])] }));
  const [{ answer }] = await ack(socket, "call", nested());
  assert.deepEqual(answer, { heard: nested(), more: [Buffer.from([9, 8])] });
});

check("a client with forceBase64 sends and gets binary data", async (client) => {
  const socket = await client.connected({ forceBase64: true });
  for (const moved of [false, true]) {
    if (moved && client.mode === "upgrade") await upgrade(socket);
    assert.deepEqual(await ack(socket, "describe", { a: Buffer.alloc(300, 1) }), [{ a: "bytes:300" }]);
    assert.deepEqual(await ack(socket, "echo", nested(), Buffer.alloc(0)), [nested(), Buffer.alloc(0)]);
    const pushed = next(socket, "pushed");
    socket.emit("push", nested(), 1, Buffer.alloc(70_000, 9));
    assert.deepEqual(await pushed, [nested(), 1, Buffer.alloc(70_000, 9)]);
  }
});

check("a binary event reaches clients with and without forceBase64 alike", async (client) => {
  const sockets = await Promise.all([true, false, true].map((forceBase64) => client.connected({ forceBase64 })));
  const room = newTag();
  await Promise.all(sockets.map((socket) => ack(socket, "join", room)));
  const arrived = sockets.map((socket) => next(socket, "pushed in the room"));
  sockets[1].emit("push_to", room, nested(), "after", Buffer.from("last"));
  for (const told of arrived) assert.deepEqual(await told, [nested(), "after", Buffer.from("last")]);
});

check("a burst arrives whole and in order", async (client) => {
  for (const how of ["event", "connect", "disconnect"]) {
    const total = how === "connect" ? 40 : 500;
    const socket = client.socket(how === "connect" ? { auth: { burst: [total, true] } } : {});
    const seen = [];
    const gone = next(socket, "disconnect");
    const complete = new Promise((resolve) =>
      socket.on("one of many", (number, data) => {
        seen.push(data === "text" ? number : [number, data[0]]);
        if (seen.length === total) resolve();
      }),
    );
    await connection(socket);
    if (how !== "connect") socket.emit("burst", total, true, how === "disconnect");
    await complete;
    assert.deepEqual(seen, [...Array(total).keys()].map((n) => (n % 3 === 1 ? [n, n % 256] : n)));
    if (how === "disconnect") assert.equal((await gone)[0], "io server disconnect");
  }
});

check("text, binary and text again arrive in the order in which they were sent", async (client) => {
  const socket = await client.connected();
  const seen = [];
  const done = new Promise((resolve) =>
    socket.on("pushed", (value) => {
      seen.push(value instanceof Uint8Array ? value[0] : value);
      if (seen.length === 30) resolve();
    }),
  );
  for (let i = 0; i < 30; i++) socket.emit("push", i % 3 === 1 ? Buffer.alloc(50 * i, i) : i);
  await done;
  assert.deepEqual(seen, [...Array(30).keys()]);
});

check("text in any script comes back, in data and as the event's name", async (client) => {
  const socket = await client.connected();
  const text = "žluťoučký kůň 🐎 日本語 العربية \u2028\u2029 \u0000\u001e\u007f \"\\/";
  assert.deepEqual(await ack(socket, "echo", text, { [text]: text }), [text, { [text]: text }]);
  assert.deepEqual(await ack(socket, "ozvěna 🐎", "příliš"), ["příliš"]);
});

check("half a surrogate pair comes back", async (client) => {
  const socket = await client.connected();
  assert.deepEqual(await ack(socket, "echo", "\ud83d", "\udc0e!"), ["\ud83d", "\udc0e!"]);
}, JSON_ONLY);

check("numbers at the limits of JavaScript come back", async (client) => {
  const socket = await client.connected();
  const numbers = [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 2 ** 64, -(2 ** 64), 1e308, 5e-324, 0.1 + 0.2];
  assert.deepEqual(await ack(socket, "echo", ...numbers), numbers);
}, JSON_ONLY);

check("a text of 900 KB comes back", async (client) => {
  const socket = await client.connected();
  const text = "0123456789".repeat(90_000);
  const [answer] = await ack(socket, "echo", text);
  assert.ok(answer === text, `${typeof answer} of length ${answer?.length}`);
}, JSON_ONLY);

check("binary data of 700 KB comes back", async (client) => {
  const socket = await client.connected();
  const data = Buffer.alloc(700_000, "0123456789abcdef!");
  const [answer] = await ack(socket, "echo", data);
  assert.ok(data.equals(answer), `${typeof answer} of length ${answer?.length}`);
});

check("two namespaces share one connection and stay apart", async (client) => {
  const manager = client.manager();
  const [main, chat] = [manager.socket("/"), manager.socket("/chat")];
  client.sockets.add(main).add(chat);
  await Promise.all([connection(main), connection(chat)]);
  assert.notEqual(main.id, chat.id);
  assert.deepEqual(await ack(main, "where"), [["/", main.id]]);
  assert.deepEqual(await ack(chat, "where"), [["/chat", chat.id]]);
  main.once("said", () => assert.fail("an event of /chat arrived in /"));
  const said = next(chat, "said");
  chat.emit("say", "hello");
  assert.deepEqual(await said, ["hello"]);
  chat.disconnect();
  assert.deepEqual(await ack(main, "where"), [["/", main.id]]);
  chat.connect();
  await connection(chat);
  assert.deepEqual(await ack(chat, "where"), [["/chat", chat.id]]);
});

check("a namespace that the server does not have is refused, and the others go on", async (client) => {
  const manager = client.manager();
  const [main, unknown] = [manager.socket("/"), manager.socket("/nowhere")];
  client.sockets.add(main).add(unknown);
  const [[error]] = await Promise.all([next(unknown, "connect_error"), connection(main)]);
  assert.equal(error.message, "Invalid namespace");
  assert.deepEqual(await ack(main, "echo", 1), [1]);
});

check("the connect handler gets the client's auth, in each namespace its own", async (client) => {
  const auth = { token: "right", "ž": [1, { two: null }] };
  const manager = client.manager();
  const [main, chat] = [manager.socket("/", { auth }), manager.socket("/chat", { auth: (send) => send({ chat: 1 }) })];
  client.sockets.add(main).add(chat);
  await Promise.all([connection(main), connection(chat)]);
  assert.deepEqual(await ack(main, "auth"), [auth]);
  assert.deepEqual(await ack(chat, "auth"), [{ chat: 1 }]);
});

check("a refused client gets the refusal's message and data", async (client) => {
  const socket = client.socket({ auth: { token: "wrong" } });
  const [error] = await next(socket, "connect_error");
  assert.equal(error.message, "wrong token");
  assert.deepEqual(error.data, { code: 42, why: ["token", "ž"] });
  assert.equal(socket.connected, false);
});

check("a connect handler that returns False refuses the client", async (client) => {
  const socket = client.socket({}, "/refusing");
  const [error] = await next(socket, "connect_error");
  assert.equal(error.message, "Connection rejected by server");
});

check("a refused client may try again on the same socket", async (client) => {
  const socket = client.socket({ auth: { token: "wrong" } });
  await next(socket, "connect_error");
  socket.auth = { token: "right" };
  socket.connect();
  await connection(socket);
  assert.deepEqual(await ack(socket, "auth"), [{ token: "right" }]);
});

check("what a connect handler emits arrives after the connection", async (client) => {
  const socket = client.socket();
  const seen = [];
  socket.on("connect", () => seen.push("connect"));
  const [data] = await new Promise((resolve) => socket.once("welcome", (...args) => resolve(args)));
  assert.deepEqual(seen, ["connect"]);
  assert.deepEqual(data, { sid: socket.id });
});

check("a client that the server disconnects learns who did it", async (client) => {
  const tag = newTag();
  const socket = await client.connected({ auth: { tag } });
  const watcher = await client.connected();
  const gone = next(socket, "disconnect");
  socket.emit("kick");
  assert.equal((await gone)[0], "io server disconnect");
  await until(async () => (await ack(watcher, "reason_of", tag))[0] === "server disconnect", "server disconnect");
});

check("a client that disconnects tells the server so", async (client) => {
  const tag = newTag();
  const socket = await client.connected({ auth: { tag } });
  const watcher = await client.connected();
  const gone = next(socket, "disconnect");
  socket.disconnect();
  assert.equal((await gone)[0], "io client disconnect");
  await until(async () => (await ack(watcher, "reason_of", tag))[0] === "client disconnect", "client disconnect");
});

check("a client whose connection closes is seen to leave", async (client) => {
  const tag = newTag();
  const socket = await client.connected({ auth: { tag } });
  const watcher = await client.connected();
  socket.io.engine.close();
  const reason = await until(async () => (await ack(watcher, "reason_of", tag))[0], "a reason");
  assert.ok(["transport close", "client disconnect"].includes(reason), reason);
});

check("a client may disconnect and connect again", async (client) => {
  const socket = await client.connected();
  const first = socket.id;
  const closed = next(socket.io.engine, "close");
  socket.disconnect();
  await closed; // the v3 client forgets to connect when it is asked earlier
  socket.connect();
  await connection(socket);
  assert.notEqual(socket.id, first);
  assert.deepEqual(await ack(socket, "echo", 1), [1]);
});

check("a room's event reaches its members and nobody else", async (client) => {
  const sockets = await Promise.all([client.connected(), client.connected(), client.connected()]);
  const room = newTag();
  assert.deepEqual(await ack(sockets[0], "join", room), [[room]]);
  assert.deepEqual(await ack(sockets[1], "join", room), [[room]]);
  const heard = sockets.map(() => []);
  const waiting = sockets.map(() => () => {});
  sockets.forEach((socket, index) =>
    socket.on("told", (data) => {
      if (data.room !== room) return; // other checks tell everyone
      heard[index].push(data.value);
      waiting[index]();
    }),
  );
  const told = (index) => new Promise((resolve) => (waiting[index] = resolve));
  const arrived = Promise.all([told(0), told(1)]);
  sockets[2].emit("tell", room, { room, value: "members" });
  await arrived;
  assert.deepEqual(await ack(sockets[1], "leave", room), [[]]);
  const again = told(0);
  sockets[2].emit("tell", room, { room, value: Buffer.from("one") });
  await again;
  await Promise.all(sockets.map((socket) => ack(socket, "echo")));
  assert.deepEqual(heard, [["members", Buffer.from("one")], ["members"], []]);
});

check("an event to everyone reaches everyone", async (client) => {
  const sockets = await Promise.all([...Array(5)].map(() => client.connected()));
  const text = newTag();
  const arrived = sockets.map(
    (socket) => new Promise((resolve) => socket.on("told", (data) => data === text && resolve())),
  );
  sockets[0].emit("tell", null, text);
  await Promise.all(arrived);
});

check("what is sent before the connection is there arrives after it", async (client) => {
  const socket = client.socket();
  const answers = Promise.all([ack(socket, "echo", 1), ack(socket, "echo", Buffer.from([2]))]);
  assert.deepEqual(await answers, [[1], [Buffer.from([2])]]);
});

check("a volatile event arrives while the connection can take it", async (client) => {
  const socket = await client.connected();
  const answered = new Promise((resolve) => {
    const send = () => socket.volatile.emit("echo", "v", (value) => resolve(value));
    const timer = setInterval(send, 20);
    socket.once("disconnect", () => clearInterval(timer));
    send();
  });
  assert.equal(await answered, "v");
});

check("an event that nobody handles is not acknowledged", async (client) => {
  const socket = await client.connected();
  socket.emit("nobody handles this", () => assert.fail("acknowledged"));
  await ack(socket, "echo");
  await sleep(50);
});

check(
  "a client's timeout ends its wait, and an answer in time does not trip it",
  async (client) => {
    const socket = await client.connected();
    await assert.rejects(socket.timeout(50).emitWithAck("nobody handles this"), /timed out/);
    assert.deepEqual(await socket.timeout(5000).emitWithAck("echo", 7), 7);
  },
  { versions: ["v4", "msgpack"] },
);

check(
  "the client upgrades to WebSocket and goes on",
  async (client) => {
    const socket = await client.connected();
    const id = socket.id;
    await upgrade(socket);
    assert.equal(socket.io.engine.transport.name, "websocket");
    assert.deepEqual(await ack(socket, "echo", nested()), [nested()]);
    assert.deepEqual(await ack(socket, "transport"), ["websocket"]);
    assert.equal(socket.id, id);
  },
  { mode: "upgrade" },
);

check("a client that offers subprotocols gets the first one and goes on", async (client) => {
  const socket = await client.connected({ protocols: ["chat", "superchat"] });
  if (client.mode === "upgrade") await upgrade(socket);
  assert.deepEqual(await ack(socket, "echo", nested()), [nested()]);
  if (client.mode !== "polling") assert.equal(socket.io.engine.transport.ws.protocol, "chat");
});

check("the server knows the client's transport", async (client) => {
  const socket = await client.connected();
  if (client.mode === "upgrade") await upgrade(socket);
  assert.deepEqual(await ack(socket, "transport"), [client.mode === "polling" ? "polling" : "websocket"]);
});

// Both sides send all the time. With "upgrade" each holds back its last 200 until the client has upgraded, so
// that there is always something on both sides of it.
check("500 messages each way keep their order, none lost, also across an upgrade", async (client) => {
  const [total, before] = [500, 300];
  const one = async () => {
    const socket = await client.connected();
    const numbers = [];
    const complete = new Promise((resolve) =>
      socket.on("number", (number) => {
        numbers.push(number);
        if (numbers.length === total) resolve();
      }),
    );
    socket.emit("count", before, total);
    for (let number = 0; number < total; number++) {
      if (number === before) {
        if (client.mode === "upgrade") await upgrade(socket);
        socket.emit("has_upgraded");
      }
      socket.emit("item", number);
      if (number % 10 === 9) await sleep(2);
    }
    const expected = [...Array(total).keys()];
    assert.deepEqual((await ack(socket, "collected"))[0], expected, "from the client to the server");
    await Promise.race([complete, sleep(5000)]);
    assert.deepEqual(numbers, expected, "from the server to the client");
    assert.equal(socket.io.engine.transport.name, client.mode === "polling" ? "polling" : "websocket");
  };
  await Promise.all([one(), one(), one()]);
});

async function run({ name, run }, url, version, mode) {
  const client = new Client(url, version, mode);
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end within ${TIMEOUT} ms`)), TIMEOUT);
  });
  let error = null;
  try {
    await Promise.race([run(client), late]);
  } catch (caught) {
    error = String(caught.stack ?? caught);
  }
  clearTimeout(timer);
  client.close();
  console.log(JSON.stringify({ name, error }));
}

const [url, version, mode] = process.argv.slice(2);
if (url === "--list") {
  for (const { name, only } of checks) console.log(JSON.stringify({ name, only }));
} else {
  const wanted = checks.filter(
    ({ only }) => (only.versions ?? [version]).includes(version) && (only.mode ?? mode) === mode,
  );
  let failure = null;
  process.on("uncaughtException", (error) => (failure ??= error));
  // A few at a time: quick, and each finds the server busy with something else.
  const queue = [...wanted];
  await Promise.all(
    [...Array(6)].map(async () => {
      for (let item = queue.shift(); item; item = queue.shift()) await run(item, url, version, mode);
    }),
  );
  if (failure) console.log(JSON.stringify({ name: "no error outside the checks", error: String(failure.stack) }));
  process.exit(0);
}
