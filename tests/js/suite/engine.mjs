import { equal, next, ok, sleep, suite } from "./harness.mjs";

const check = suite("engine.io-client");
const PAUSE = 200; // milliseconds in which what must not happen would happen
const WEBSOCKET = { transports: ["websocket"] };
const POLLING = { transports: ["polling"] };
const TOO_LARGE = "a".repeat(101); // the twin takes 100 bytes at once

// The first messages of a client: the twin says "hi", and then whatever it is sent.
function messages(socket, count) {
  const found = [];
  return new Promise((resolve) => {
    socket.on("message", (data) => found.push(data) === count && resolve(found));
  });
}

// Resolves with the error and with what the request looks like while it is reported; the client cleans up after that.
function failed(socket) {
  return new Promise((resolve) => {
    socket.once("error", (error) => {
      const { readyState, responseText } = error.context ?? {};
      resolve([error, readyState, responseText]);
    });
  });
}

const bytesOf = (data) => [...new Uint8Array(data)];

check("a client opens a connection and is greeted", async (t) => {
  equal(await messages(t.engine(), 1), ["hi"]);
});

for (const text of ["12 € 34 €€", "\u{10000}-\u{effff}\u{f0000}-\u{10ffff}\ue000-\uf8ff", "съешь ещё булок"]) {
  check(`the text ${text} comes back as it was sent`, async (t) => {
    const socket = t.engine();
    const found = messages(socket, 2);
    await next(socket, "open");
    socket.send(text);
    equal(await found, ["hi", text]);
  });
}

check("a client that is closed sends nothing more", async (t) => {
  const socket = t.engine();
  await next(socket, "open");
  t.never(socket, "packetCreate");
  socket.close();
  socket.send("hi");
  await sleep(PAUSE);
});

check("a client that polls sends as much at once as the server takes", async (t) => {
  const socket = t.engine(POLLING);
  const found = messages(socket, 7);
  await next(socket, "open");
  const sent = [["a", 99], ["b", 30], ["c", 30], ["d", 35], ["€", 33], ["f", 99]].map(([c, n]) => c.repeat(n));
  for (const text of sent) socket.send(text);
  equal(await found, ["hi", ...sent]);
});

check("a client that polls sends as many bytes at once as the server takes", async (t) => {
  const socket = t.engine(POLLING);
  socket.binaryType = "arraybuffer";
  const found = messages(socket, 6);
  await next(socket, "open");
  const sent = [72, 20, 0, 20, 72].map((size) => (size ? Uint8Array.from({ length: size }, (_, n) => n) : "text"));
  for (const data of sent) socket.send(data);
  const [, ...back] = await found;
  equal(back.map((data) => data.byteLength ?? data), [72, 20, "text", 20, 72]);
});

check("a message over the server's limit is sent all the same, and closes a client that polls", async (t) => {
  const socket = t.engine(POLLING);
  await next(socket, "open");
  const failing = failed(socket);
  const closed = next(socket, "close");
  socket.send(TOO_LARGE);
  socket.send("b");
  const [error, readyState, responseText] = await failing;
  equal([error.type, error.description, error.message], ["TransportError", 413, "xhr post error"]);
  equal([readyState, responseText], [4, ""]);
  const [reason, details] = await closed;
  equal(reason, "transport error");
  ok(details instanceof Error, "there are details");
});

check("a message over the server's limit closes a WebSocket with 1009", async (t) => {
  const socket = t.engine(WEBSOCKET);
  await next(socket, "open");
  socket.send(TOO_LARGE);
  const [reason, { description, context }] = await next(socket, "close");
  equal([reason, description], ["transport close", "websocket connection closed"]);
  equal([context.code, context.reason], [1009, ""]);
});

check("a session that the server does not know is an error that says so, over polling", async (t) => {
  const socket = t.engine({ ...POLLING, query: { sid: "abc" } });
  const closed = next(socket, "close");
  const [error, readyState, responseText] = await failed(socket);
  equal([error.type, error.description, error.message], ["TransportError", 400, "xhr poll error"]);
  equal([readyState, responseText], [4, '{"code":1,"message":"Session ID unknown"}']);
  equal((await closed)[0], "transport error");
});

check("a session that the server does not know is an error over WebSocket", async (t) => {
  const socket = t.engine({ ...WEBSOCKET, query: { sid: "abc" } });
  const closed = next(socket, "close");
  const [error] = await next(socket, "error");
  equal([error.type, error.message], ["TransportError", "websocket error"]);
  equal(error.description.type, "error");
  equal((await closed)[0], "transport error");
});

for (const [refused, other] of [["websocket", "polling"], ["polling", "websocket"]]) {
  const options = { transports: [refused, other], transportOptions: { [refused]: { query: { deny: 1 } } } };

  check(`a client that may try all transports takes ${other} where ${refused} is refused`, async (t) => {
    const socket = t.engine({ ...options, tryAllTransports: true });
    await next(socket, "open");
    equal(socket.transport.name, other);
  });

  check(`a client that may try one transport has an error where ${refused} is refused`, async (t) => {
    const [error] = await next(t.engine(options), "error");
    equal(error.message, refused === "polling" ? "xhr poll error" : "websocket error");
  });
}

for (const [name, kind] of [["polling", "NodeXHR"], ["websocket", "NodeWebSocket"]]) {
  check(`a client takes ${name} from a class that it is given`, async (t) => {
    const socket = t.engine({ transports: [t.client[kind]] });
    await next(socket, "open");
    equal(socket.transport.name, name);
  }, "node");
}

check("a client whose timer was throttled finds that the server's ping is late", async (t) => {
  const socket = t.engine();
  equal(socket._hasPingExpired(), false);
  await next(socket, "open");
  equal(socket._hasPingExpired(), false);
  socket._pingTimeoutTime = Date.now() - 1;
  const closed = next(socket, "close");
  equal([socket._hasPingExpired(), socket._hasPingExpired()], [true, true]);
  equal((await closed)[0], "ping timeout");
});

check("a client stays open over several pings of the server", async (t) => {
  for (const options of [POLLING, WEBSOCKET]) {
    const socket = t.engine(options);
    for (let pings = 0; pings < 2; pings++) await next(socket, "ping");
    equal(socket.readyState, "open");
  }
});

check("a client that is closed while it upgrades closes after the upgrade", async (t) => {
  const socket = t.engine();
  const upgraded = next(socket, "upgrade");
  await next(socket, "upgrading");
  const closed = next(socket, "close");
  socket.close();
  await Promise.all([upgraded, closed]);
});

check("a client that is closed while it upgrades closes after a failed upgrade", async (t) => {
  const socket = t.engine();
  const failed = next(socket, "upgradeError");
  await next(socket, "upgrading");
  const closed = next(socket, "close");
  socket.close();
  socket.transport.onError("upgrade error");
  await Promise.all([failed, closed]);
});

check("a client that is closed while it upgrades sends nothing more", async (t) => {
  const socket = t.engine();
  await next(socket, "upgrading");
  t.never(socket, "packetCreate");
  socket.close();
  socket.send("hi");
  await sleep(PAUSE);
});

check("a client that is closed while it upgrades has sent what it was given before", async (t) => {
  const socket = t.engine();
  await next(socket, "upgrading");
  socket.send("hi");
  const closed = next(socket, "close");
  socket.close();
  await closed;
  equal(socket.writeBuffer.length, 0);
});

check("a client remembers that WebSocket worked if it is told to", async (t) => {
  const socket = t.engine();
  equal(socket.transport.name, "polling");
  await next(socket, "upgrade");
  for (const [rememberUpgrade, name] of [[true, "websocket"], [false, "polling"]]) {
    equal(t.engine({ rememberUpgrade }).transport.name, name);
  }
});

for (const [perMessageDeflate, compressed] of [[{ threshold: 0 }, true], [undefined, false]]) {
  check(`a small message is ${compressed ? "" : "not "}to be compressed by the client's threshold`, async (t) => {
    const socket = t.engine({ ...WEBSOCKET, ...(perMessageDeflate ? { perMessageDeflate } : {}) });
    const found = messages(socket, 2);
    await next(socket, "open");
    const { ws } = socket.transport;
    const { send } = ws;
    const asked = new Promise((resolve) => {
      ws.send = (data, options, done) => {
        resolve(options.compress);
        send.call(ws, data, options, done);
      };
    });
    socket.send("hello", { compress: true });
    equal(await asked, compressed);
    equal(await found, ["hi", "hello"]);
  }, "node");
}

for (const withCredentials of [true, false]) {
  check(`the server's cookie is ${withCredentials ? "" : "not "}sent back`, async (t) => {
    const cookies = [];
    const seen = (request) => cookies.push(request.getHeader("cookie"));
    const socket = t.engine({ ...POLLING, withCredentials, agent: t.watchedAgent(seen) });
    const found = messages(socket, 2);
    await next(socket, "open");
    socket.send("more");
    await found;
    equal(cookies[0], undefined);
    equal(new Set(cookies.slice(1)).size, 1);
    equal(cookies.at(-1), withCredentials ? `io=${socket.id}` : undefined);
  }, "node");
}

const BYTES = Int8Array.from([0, 1, 2, 3, 4, -1]);
const WAYS = [
  ["after the upgrade", {}],
  ["after the upgrade in base64", { forceBase64: true }],
  ["over polling", POLLING],
  ["over polling in base64", { ...POLLING, forceBase64: true }],
];

for (const [way, options] of WAYS) {
  const opened = async (t, more = {}) => {
    const socket = t.engine({ ...options, ...more });
    socket.binaryType = "arraybuffer";
    const found = messages(socket, 3);
    await next(socket, options.transports ? "open" : "upgrade");
    return [socket, found];
  };

  check(`bytes and a text come back in order ${way}`, async (t) => {
    const [socket, found] = await opened(t);
    socket.send(BYTES);
    socket.send("12 € 34");
    const [, bytes, text] = await found;
    ok(bytes instanceof ArrayBuffer, "the bytes are an ArrayBuffer");
    equal([bytesOf(bytes), text], [bytesOf(BYTES.buffer), "12 € 34"]);
  });

  check(`a Blob and a text come back in order ${way}`, async (t) => {
    const [socket, found] = await opened(t);
    socket.send(new Blob([BYTES.buffer]));
    socket.send("12 € 34");
    const [, bytes, text] = await found;
    equal([bytesOf(bytes), text], [bytesOf(BYTES.buffer), "12 € 34"]);
  }, "page");

  check(`bytes come back as a Blob where that is asked for ${way}`, async (t) => {
    const [socket, found] = await opened(t);
    socket.binaryType = "blob";
    socket.send(BYTES);
    socket.send("12 € 34");
    const [, blob] = await found;
    ok(blob instanceof Blob, "it is a Blob");
    equal(bytesOf(await blob.arrayBuffer()), bytesOf(BYTES.buffer));
  }, "page");
}

check("a client in a worker of a page gets texts and bytes", async () => {
  const worker = new Worker("/checks/worker.js");
  const found = await new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
  });
  worker.terminate();
  equal(found, ["hi", ...Array(9).fill("съешь ещё булок"), ...Array(9).fill([0, 1, 2, 3, 4])]);
}, "page");

check("a client is closed when its page is left, if it is told to", async (t) => {
  const socket = t.engine({ closeOnBeforeunload: true });
  await next(socket, "open");
  window.dispatchEvent(new Event("beforeunload"));
  equal(socket.transport.readyState, "closed");
  socket.write("ignored");
}, "page");
