import { equal, next, ok, sleep, suite, withTimer } from "./harness.mjs";

const check = suite("connection");
const QUICK = { reconnectionDelay: 10 };
const HOPELESS = { ...QUICK, timeout: 0 }; // gives up each attempt before the server can answer
const PAUSE = 100; // milliseconds in which what must not happen would happen

check("a client connects, sends and is answered", async (t) => {
  const socket = t.io();
  socket.emit("hi");
  await next(socket, "hi");
});

check("without autoConnect nothing is opened", async (t) => {
  ok(!t.io("/", { autoConnect: false }).io.engine, "there is no engine");
});

for (const [what, first, second] of [
  ["two sockets of one namespace", ["/"], ["/"]],
  ["two sockets of which one has a query", ["/?woot"], ["/"]],
  ["two sockets with different paths", ["/", { path: "/one" }], ["/", { path: "/two" }]],
]) {
  check(`${what} have a connection each`, async (t) => {
    const [one, two] = [first, second].map(([path, more]) => t.io(path, { forceNew: false, ...more }));
    ok(one.io !== two.io, "their managers are two");
  });
}

check("sockets of two namespaces share a connection", async (t) => {
  // The slash at its end makes this another path to the client, so that no other check has its manager.
  const options = { forceNew: false, path: "/socket.io/" };
  const [foo, bar] = ["/foo", "/asd"].map((namespace) => t.io(namespace, options));
  ok(foo.io === bar.io, "their manager is the same");
  await Promise.all([next(foo, "connect"), next(bar, "connect")]);
});

check("the server asks, and the client's answer reaches it", async (t) => {
  const socket = t.io();
  socket.on("ask", (answer) => answer(5, { test: true }));
  socket.emit("ask");
  await next(socket, "understood");
});

check("a date in an acknowledgement is a string", async (t) => {
  ok(typeof (await t.io().emitWithAck("date", { test: true })) === "string", "it is a string");
});

check("a date in an event is a string, alone and in an object", async (t) => {
  const socket = t.io();
  socket.emit("send dates");
  const [[alone], [inside]] = await Promise.all([next(socket, "a date"), next(socket, "a date inside")]);
  ok(typeof alone === "string" && typeof inside.date === "string", "they are strings");
});

check("false arrives as false", async (t) => {
  const socket = t.io();
  socket.emit("send false");
  equal((await next(socket, "false"))[0], false);
});

check("texts in many scripts arrive whole and in order", async (t) => {
  const socket = t.io();
  const texts = [];
  socket.on("text", (text) => texts.push(text));
  socket.emit("send texts");
  await next(socket, "texts sent");
  equal(texts, ["日本語のテキスト", "Ж Ы Ъ Щ Э Ю", "Ö ö Õ õ ẞ", "dash — and 🐎", "z\u0308 decomposed"]);
});

check("a namespace is added to an open connection", async (t) => {
  const manager = t.manager();
  await next(manager.socket("/"), "connect");
  await next(manager.socket("/foo"), "connect");
});

check("a namespace is opened after the only other one was left", async (t) => {
  const manager = t.manager();
  const socket = manager.socket("/");
  await next(socket, "connect");
  const left = next(socket, "disconnect");
  socket.disconnect();
  await left;
  await next(manager.socket("/foo"), "connect");
});

check("a client whose connection is lost comes back by itself", async (t) => {
  const socket = t.io("/", QUICK);
  await next(socket, "connect");
  socket.io.engine.close();
  await next(socket.io, "reconnect");
});

check("a client that left comes back when it is told to, and by itself after that", async (t) => {
  const socket = t.io("/", QUICK);
  await next(socket, "connect");
  socket.disconnect();
  socket.connect();
  await next(socket, "connect");
  socket.io.engine.close();
  await next(socket.io, "reconnect");
});

check("a client that gave up tries as often again when it is told to connect", async (t) => {
  const manager = t.manager({ ...HOPELESS, reconnectionAttempts: 2 });
  const socket = manager.socket("/timeout");
  await next(manager, "reconnect_failed");
  let attempts = 0;
  manager.on("reconnect_attempt", () => attempts++);
  socket.connect();
  await next(manager, "reconnect_failed");
  equal(attempts, 2);
});

check("each attempt waits longer than the one before", async (t) => {
  const delays = [];
  const real = setTimeout;
  const noted = (run, delay, ...args) => {
    if (delay >= 80) delays.push(delay);
    return real(run, delay, ...args);
  };
  const options = { timeout: 0, reconnectionAttempts: 3, reconnectionDelay: 100, randomizationFactor: 0.2 };
  const manager = withTimer(noted, () => t.manager(options));
  manager.socket("/timeout");
  await next(manager, "reconnect_failed");
  equal(delays.length, 3);
  ok(delays[0] < delays[1] && delays[1] < delays[2], `${delays} grow`);
});

check("a client that is closed after an error does not try again", async (t) => {
  const socket = t.io("/invalid", HOPELESS);
  await next(socket.io, "error");
  t.never(socket.io, "reconnect_attempt");
  socket.disconnect();
  await sleep(PAUSE);
});

check("a client that is closed at an attempt does not go on", async (t) => {
  const socket = t.io("/invalid", HOPELESS);
  await next(socket.io, "reconnect_attempt");
  t.never(socket.io, "reconnect_attempt");
  socket.disconnect();
  await sleep(PAUSE);
});

check("a client that is closed at an attempt goes on when it is told to connect", async (t) => {
  const socket = t.io("/invalid", HOPELESS);
  await next(socket.io, "reconnect_attempt");
  socket.disconnect();
  socket.connect();
  await next(socket.io, "reconnect_attempt");
});

check("of two sockets the one that is closed stays away and the other one comes back", async (t) => {
  const manager = t.manager(QUICK);
  const [leaving, staying] = [manager.socket("/"), manager.socket("/asd")];
  await Promise.all([next(leaving, "connect"), next(staying, "connect")]);
  t.never(leaving, "connect");
  manager.once("reconnect_attempt", () => leaving.disconnect());
  manager.engine.close();
  await next(staying, "connect");
  await sleep(PAUSE / 2);
});

for (const [namespace, where] of [["/timeout", "does not exist"], ["/timeout_socket", "exists"]]) {
  check(`attempts that all time out are counted and end, where the namespace ${where}`, async (t) => {
    const manager = t.manager({ ...HOPELESS, reconnectionAttempts: 2 });
    manager.socket(namespace);
    const numbers = [];
    manager.on("reconnect_attempt", (number) => numbers.push(number));
    await next(manager, "reconnect_failed");
    equal(numbers, [1, 2]);
  });
}

check("a client that is connected makes no further attempt", async (t) => {
  const manager = t.manager(QUICK);
  t.never(manager, "reconnect_attempt");
  await next(manager.socket("/valid"), "connect");
  await sleep(PAUSE);
});

check("one socket connects while another one of the connection leaves", async (t) => {
  const manager = t.manager();
  const leaving = manager.socket("/foo");
  await next(leaving, "connect");
  const coming = next(manager.socket("/asd"), "connect");
  leaving.disconnect();
  await coming;
});

check("a connection lasts until its last socket leaves", async (t) => {
  const manager = t.manager({ autoConnect: false });
  const [first, last] = [manager.socket("/foo"), manager.socket("/asd")];
  for (const socket of [first, last]) {
    socket.connect();
    await next(socket, "connect");
  }
  const disconnected = () => t.failures.push(new Error("the other socket was disconnected"));
  last.on("disconnect", disconnected);
  first.disconnect();
  await sleep(PAUSE);
  last.off("disconnect", disconnected);
  const closed = next(manager, "close");
  last.disconnect();
  await closed;
});

check("the answer of a server of version 2 is an error", async (t) => {
  const socket = t.io("/", { autoConnect: false });
  const refused = next(socket, "connect_error");
  socket.onpacket({ nsp: "/", type: 0 });
  await refused;
});

check("where nobody listens a client gives up after its attempts", async (t) => {
  const manager = t.manager({ ...QUICK, reconnectionAttempts: 2 }, t.nobody);
  let attempts = 0;
  manager.on("reconnect_attempt", () => attempts++);
  manager.socket("/asd");
  await next(manager, "reconnect_failed");
  equal(attempts, 2);
});

check("where nobody listens a client that is not to reconnect does not", async (t) => {
  const manager = t.manager({ ...QUICK, reconnection: false }, t.nobody);
  t.never(manager, "reconnect_attempt");
  manager.socket("/asd");
  await next(manager, "error");
  await sleep(PAUSE);
});

check("where nobody listens a second socket adds no attempts", async (t) => {
  const manager = t.manager({ ...QUICK, reconnectionAttempts: 2 }, t.nobody);
  let attempts = 0;
  manager.on("reconnect_attempt", () => attempts++);
  manager.socket("/room1");
  const failed = next(manager, "reconnect_failed");
  await sleep(10);
  manager.socket("/room2");
  await failed;
  equal(attempts, 2);
});

// A manager that reconnects after 100 ms, made while setTimeout() only keeps what it is to run.
async function lostWithHeldTimers(t, options) {
  const held = [];
  const hold = (run, delay) => {
    held.push({ run, delay });
    return 0;
  };
  const make = () => t.manager({ reconnectionDelayMax: PAUSE, randomizationFactor: 0, ...options });
  const manager = withTimer(hold, make);
  await next(manager.socket("/foo"), "connect");
  manager.engine.close();
  return { manager, held };
}

check("a client reconnects by the timers of whoever has replaced setTimeout", async (t) => {
  const { manager, held } = await lostWithHeldTimers(t, {});
  let attempts = 0;
  manager.on("reconnect_attempt", () => attempts++);
  await sleep(2 * PAUSE);
  equal(attempts, 0);
  held.find(({ delay }) => delay === PAUSE).run();
  equal(attempts, 1);
});

check("with useNativeTimers a client reconnects by the real ones", async (t) => {
  const { manager, held } = await lostWithHeldTimers(t, { useNativeTimers: true });
  await next(manager, "reconnect_attempt");
  equal(held.length, 0);
});

const BYTES = Uint8Array.of(0, 1, 127, 128, 255);

check("bytes arrive as an ArrayBuffer where that is asked for", async (t) => {
  const socket = t.io();
  if (typeof window === "undefined") socket.io.engine.binaryType = "arraybuffer";
  socket.emit("send bytes");
  const [bytes] = await next(socket, "bytes");
  ok(bytes instanceof ArrayBuffer, "it is an ArrayBuffer");
  equal([...new Uint8Array(bytes)], [0, 97, 255]);
});

// In a page also what only a page has: a Blob.
for (const [kind, make, where] of [
  ["an ArrayBuffer", () => BYTES.buffer, "anywhere"],
  ["a Blob", () => new Blob([BYTES]), "page"],
]) {
  check(`${kind} is sent alone`, async (t) => {
    equal(await t.io().emitWithAck("describe", make()), "00017f80ff");
  }, where);

  check(`${kind} is sent within an object`, async (t) => {
    const sent = { before: "text", message: make(), after: [1] };
    equal(await t.io().emitWithAck("describe", sent), { ...sent, message: "00017f80ff" });
  }, where);

  check(`events with ${kind} and events without arrive in the order in which they were sent`, async (t) => {
    const socket = t.io();
    for (const data of [make(), "second", make()]) socket.emit("collect", data);
    equal(await socket.emitWithAck("collected"), ["00017f80ff", "second", "00017f80ff"]);
  }, where);
}

check("the socket of a namespace is made once and opened again", async (t) => {
  const manager = t.manager();
  const socket = manager.socket("/");
  await next(socket, "connect");
  socket.disconnect();
  ok(manager.socket("/") === socket && socket.active, "it is the same socket, and active");
  await next(socket, "connect");
});

check("a socket that is asked for twice connects once", async (t) => {
  const manager = t.manager();
  const packets = t.sent(manager.engine);
  await next(manager, "open");
  const socket = manager.socket("/");
  ok(manager.socket("/") === socket, "it is the same socket");
  await next(socket, "connect");
  socket.disconnect();
  equal(packets, ["0", "1"]);
});

check("each namespace of a connection is opened and left once", async (t) => {
  const manager = t.manager();
  const packets = t.sent(manager.engine);
  await next(manager, "open");
  const [socket, foo] = [manager.socket("/"), manager.socket("/foo")];
  await Promise.all([next(socket, "connect"), next(foo, "connect")]);
  socket.disconnect();
  foo.disconnect();
  equal(packets, ["0", "0/foo,", "1", "1/foo,"]);
});

check("what cannot be decoded closes the engine, and the client comes back with another", async (t) => {
  const manager = t.manager({ reconnectionDelay: 50 });
  const { engine } = manager;
  await next(manager, "open");
  engine.emit("data", "bad");
  await next(manager, "reconnect");
  ok(manager.engine !== engine && engine.readyState === "closed", "the first engine is closed");
});
