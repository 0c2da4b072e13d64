import { equal, failure, next, ok, sleep, suite } from "./harness.mjs";

const check = suite("socket");
const QUICK = { reconnectionDelay: 10 };
const PAUSE = 100; // milliseconds in which what must not happen would happen
const LONG = 10_000; // milliseconds: never over while a check runs
const outstanding = (socket) => Object.keys(socket.acks).length;

for (const path of ["/", "/foo"]) {
  check(`in ${path} the client's id is the server's, and not that of the engine`, async (t) => {
    const socket = t.io(path);
    const id = await socket.emitWithAck("id");
    ok(id && socket.id === id && id !== socket.io.engine.id, `${id} is the id`);
  });
}

check("a disconnected socket has no id", async (t) => {
  const socket = t.io();
  await next(socket, "connect");
  const gone = next(socket, "disconnect");
  socket.disconnect();
  await gone;
  ok(!socket.id, "there is no id");
});

check("a socket that is closed while it opens has no error", async (t) => {
  const socket = t.io("/", { timeout: PAUSE });
  socket.disconnect();
  t.never(socket.io, "error");
  await sleep(3 * PAUSE);
});

check("a connection that cannot be made is an error", async (t) => {
  const socket = t.client.io(t.nobody, { forceNew: true, timeout: PAUSE });
  await next(socket, "connect_error");
  socket.close();
});

for (const transport of ["polling", "websocket"]) {
  check(`a connection that is not made in time is an error over ${transport}`, async (t) => {
    const [error] = await next(t.io("/", { transports: [transport], timeout: 0 }), "connect_error");
    equal(error.message, "timeout");
  });
}

check("a connection that is lost is no error of connecting", async (t) => {
  const socket = t.io();
  t.never(socket, "connect_error");
  await next(socket, "connect");
  socket.io.engine.close();
  await sleep(3 * PAUSE);
});

check("a socket that comes back has another id, or the same where connections are recovered", async (t) => {
  const socket = t.io("/", QUICK);
  await next(socket, "connect");
  const { id } = socket;
  const attempted = next(socket.io, "reconnect_attempt").then(() => ok(!socket.id, "there is no id meanwhile"));
  socket.io.engine.close();
  await attempted;
  await next(socket, "connect");
  equal([socket.id === id, Boolean(socket.recovered)], [t.recovery, t.recovery]);
});

for (const [how, wanted] of [["by default", true], ["unless it is told not to", false]]) {
  check(`a packet is to be compressed ${how}`, async (t) => {
    const socket = t.io();
    await next(socket, "connect");
    const created = next(socket.io.engine, "packetCreate");
    (wanted ? socket : socket.compress(false)).emit("hi");
    const [packet] = await created;
    equal(packet.options.compress, wanted);
  });
}

// What a namespace of the twin tells of the request that has opened the connection.
const handshakeOf = async (socket) => (await next(socket, "handshake"))[0];

check("a query from an object reaches the default namespace", async (t) => {
  const { query } = await t.io("/", { query: { e: "f" } }).emitWithAck("handshake");
  equal(query.e, "f");
});

check("a query from the URL reaches the default namespace", async (t) => {
  const { query } = await t.io("/?c=d").emitWithAck("handshake");
  equal(query.c, "d");
});

check("a query from an object reaches another namespace", async (t) => {
  const { query } = await handshakeOf(t.io("/abc", { query: { a: "b" } }));
  equal(query.a, "b");
});

check("a query from the URL reaches another namespace", async (t) => {
  const { query } = await handshakeOf(t.io("/abc?b=c&d=e"));
  equal([query.b, query.d], ["c", "e"]);
});

check("what a query is made of is escaped", async (t) => {
  const { query } = await handshakeOf(t.io("/abc", { query: { "&a": "&=?a" } }));
  equal(query["&a"], "&=?a");
});

for (const [kind, auth] of [["an object", { a: "b", c: "d" }], ["a function", (give) => give({ a: "b", c: "d" })]]) {
  check(`auth from ${kind} reaches the handler and stays out of the query`, async (t) => {
    const handshake = await handshakeOf(t.io("/abc", { auth }));
    equal(handshake.auth, { a: "b", c: "d" });
    equal([handshake.query.a, handshake.query.c], [undefined, undefined]);
  });
}

for (const [where, path] of [["a namespace that refuses everybody", "/no"], ["the default namespace", "/?fail=yes"]]) {
  check(`a refusal by ${where} is an error with the server's words`, async (t) => {
    const [error] = await next(t.io(path), "connect_error");
    ok(error instanceof Error, "it is an Error");
    equal(error.message, path === "/no" ? "nobody may come in here" : "you may not come in here");
  });
}

check("a socket that was refused does not try again", async (t) => {
  const socket = t.io("/no", QUICK);
  let refusals = 0;
  socket.on("connect_error", () => {
    refusals++;
    socket.io.engine.close();
  });
  await next(socket, "connect_error");
  await sleep(PAUSE);
  equal(refusals, 1);
});

check("a socket that disconnects and connects at once is disconnected once", async (t) => {
  const socket = t.io("/", { transports: ["websocket"] });
  await next(socket, "connect");
  let times = 0;
  socket.on("disconnect", () => times++);
  socket.disconnect().connect();
  await next(socket, "connect");
  await sleep(PAUSE);
  equal(times, 1);
});

check("the names of the client's own events cannot be emitted", async (t) => {
  const socket = t.io("/no");
  const error = await failure((async () => socket.emit("disconnecting", "goodbye"))());
  ok(error.message.includes('"disconnecting" is a reserved event name'), error.message);
});

check("what was emitted before the connection goes before what is emitted at it", async (t) => {
  const socket = t.io("/", { autoConnect: false });
  const answers = [];
  const last = new Promise((resolve) => {
    socket.on("connect", () => socket.emit("echo", "second", (answer) => resolve(answers.push(answer))));
  });
  socket.emit("echo", "first", (answer) => answers.push(answer));
  socket.connect();
  await last;
  equal(answers, ["first", "second"]);
});

check("emitWithAck gives what the server answers", async (t) => {
  equal(await t.io().emitWithAck("echo", 123), 123);
});

check("a volatile event is dropped while there is no connection", async (t) => {
  const socket = t.io("/", { autoConnect: false });
  socket.volatile.emit("id", () => t.failures.push(new Error("the volatile event was answered")));
  const answered = socket.emitWithAck("id");
  socket.connect();
  await answered;
});

check("a volatile event is dropped while another one is being written", async (t) => {
  const socket = t.io();
  await next(socket, "connect");
  const answered = socket.emitWithAck("id");
  socket.volatile.emit("id", () => t.failures.push(new Error("the volatile event was answered")));
  await answered;
  await socket.emitWithAck("id");
});

check("a volatile event is sent when nothing else is", async (t) => {
  const socket = t.io();
  let answer;
  while (!answer) {
    socket.volatile.emit("id", (id) => (answer ??= id));
    await sleep(PAUSE);
  }
  equal(answer, socket.id);
});

check("a listener for any event gets its name and its data", async (t) => {
  const socket = t.io("/abc");
  const [event, handshake] = await new Promise((resolve) => socket.onAny((...args) => resolve(args)));
  equal(event, "handshake");
  ok(handshake.query, "it has a query");
});

check("a listener for any outgoing event gets its name and its data, text or bytes", async (t) => {
  const socket = t.io("/abc");
  await next(socket, "connect");
  const sent = [];
  socket.onAnyOutgoing((...args) => sent.push(args));
  const bytes = Uint8Array.of(1, 2, 3);
  socket.emit("my event", "123");
  socket.emit("my event", bytes);
  equal(sent, [["my event", "123"], ["my event", bytes]]);
  ok(sent[1][1] === bytes, "the bytes are the same");
});

for (const [kind, direction] of [["Any", "comes in"], ["AnyOutgoing", "goes out"]]) {
  // Resolves with whatever the listeners have noted when an event has gone their way.
  const noted = async (t, listen) => {
    const socket = t.io("/abc");
    const notes = [];
    listen(socket, (note) => () => notes.push(note));
    socket.emit("my event", "123");
    await Promise.all([next(socket, "handshake"), next(socket, "connect")]);
    return notes;
  };

  check(`a listener that is prepended is called first when an event ${direction}`, async (t) => {
    const notes = await noted(t, (socket, note) => {
      socket[`on${kind}`](note("third"));
      socket[`prepend${kind}`](note("second"));
      socket[`prepend${kind}`](note("first"));
    });
    equal(notes, ["first", "second", "third"]);
  });

  check(`a listener that is removed is not called when an event ${direction}`, async (t) => {
    const notes = await noted(t, (socket, note) => {
      const removed = note("removed");
      socket[`on${kind}`](removed);
      socket[`off${kind}`](removed);
      equal(socket[`listeners${kind}`].length, 0);
      socket[`on${kind}`](note("kept"));
    });
    equal(notes, ["kept"]);
  });
}

// With a callback the error is its first argument.
const answerOf = (socket, ...args) =>
  new Promise((resolve, reject) => {
    socket.emit(...args, (error, value) => (error ? reject(error) : resolve(value)));
  });

check("an event of a socket that does not connect times out, and is sent no more", async (t) => {
  const socket = t.io("/", { autoConnect: false });
  await failure(answerOf(socket.timeout(50), "anything"));
  equal(socket.sendBuffer, []);
});

check("an event that the server does not know times out", async (t) => {
  await failure(answerOf(t.io().timeout(50), "unknown"));
  await failure(t.io().timeout(50).emitWithAck("unknown"));
});

check("an event that is acknowledged too late times out once", async (t) => {
  const socket = t.io();
  const calls = [];
  socket.timeout(0).emit("echo", 42, (...args) => calls.push(args));
  await socket.emitWithAck("echo", "later");
  await sleep(PAUSE);
  equal(calls.length, 1);
  ok(calls[0][0] instanceof Error, "with an Error");
});

check("an event that is acknowledged in time has no error", async (t) => {
  equal(await answerOf(t.io().timeout(LONG), "echo", 42), 42);
  equal(await t.io().timeout(LONG).emitWithAck("echo", 42), 42);
});

check("ackTimeout holds for every event", async (t) => {
  await failure(answerOf(t.io("/", { ackTimeout: 50 }), "unknown"));
});

check("a callback without a timeout is forgotten at the disconnection", async (t) => {
  const socket = t.io();
  await next(socket, "connect");
  socket.emit("echo", "a", () => t.failures.push(new Error("the event was answered")));
  socket.disconnect();
  equal(outstanding(socket), 0);
  await sleep(PAUSE);
});

for (const [how, options, emit] of [
  ["a callback with a timeout", {}, (socket) => answerOf(socket.timeout(LONG), "echo", "a")],
  ["a callback with ackTimeout", { ackTimeout: LONG }, (socket) => answerOf(socket, "echo", "a")],
  ["a promise", {}, (socket) => socket.emitWithAck("echo", "a")],
  ["a promise with a timeout", {}, (socket) => socket.timeout(LONG).emitWithAck("echo", "a")],
]) {
  check(`${how} gets an error at the disconnection`, async (t) => {
    const socket = t.io("/", options);
    await next(socket, "connect");
    const failed = failure(emit(socket));
    socket.disconnect();
    await failed;
    equal(outstanding(socket), 0);
  });
}

check("an event that was not sent before the disconnection is sent and answered after it", async (t) => {
  const socket = t.io();
  await next(socket, "connect");
  socket.disconnect();
  const answered = socket.emitWithAck("echo", "a");
  await sleep(PAUSE);
  socket.connect();
  equal(await answered, "a");
});
