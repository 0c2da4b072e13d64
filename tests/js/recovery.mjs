// node recovery.mjs '{"ports", "clients", "closes", "pause", "early", "events", "drivers"}'
// Clients that lose their connections again and again, against tests/apps/recovery.py, which listens at `ports`. Each of
// `clients` is {"version", "mode", "ways"}: ways of WAYS to lose its connection, which it does `closes` times, each after
// at most `pause` milliseconds, and with `early` once more before its first event. It comes back to any of the ports.
// Meanwhile `drivers` other clients have the server emit so many `events` together. Without drivers the server emits by
// itself; the clients go on until a line of stdin says what it has sent, as {"<emitter> <stream>": count}.
// Prints {"ready": true} when all are connected, and at last {"clients": [...]}, what each has seen.
//
// An event is said(emitter, stream, number, total). `number` counts the events of an emitter in a stream, `total` those
// in all of its streams. Streams are "all" for everybody, "room:NAME", "sid:SID", and "but:SID" for all but one client.
import net from "node:net";
import { createInterface } from "node:readline";

import { ack, Client, connection, next, sleep } from "./client.mjs";

const settings = JSON.parse(process.argv[2]);
const PATIENCE = 15_000; // milliseconds without progress
const MANY = 10; // so much is kept of what goes wrong
// Without an earlier timeout npm's client hangs for 20 seconds when a WebSocket breaks within the packet that opens it.
const RECONNECTION = { reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 30, timeout: 5000 };
const ROOM = "even"; // every other client is in it

let stopping = false;

const random = (limit) => Math.floor(Math.random() * limit);
const pick = (list) => list[random(list.length)];

async function until(condition, patience = PATIENCE) {
  for (let start = Date.now(); !condition(); await sleep(5)) if (Date.now() - start > patience) return false;
  return true;
}

// Carries the connections of one client to a port, which may change, and breaks them.
class Proxy {
  constructor(port) {
    this.port = port;
    this.links = new Set();
    this.tearing = false;
    this.server = net.createServer((near) => this.connect(near));
  }

  async listen() {
    this.server.listen(0, "127.0.0.1");
    await next(this.server, "listening");
    return this.server.address().port;
  }

  connect(near) {
    const far = net.connect(this.port, "127.0.0.1");
    const link = { near, far, vanished: false };
    this.links.add(link);
    for (const side of [near, far]) side.setNoDelay(true).on("error", () => {});
    near.pipe(far);
    far.on("data", (data) => {
      if (this.tearing) this.tear(link, data);
      else if (!near.destroyed) near.write(data);
    });
    far.on("end", () => near.end());
    far.on("close", () => near.destroy());
    near.on("close", () => {
      this.links.delete(link);
      if (!link.vanished) far.destroy();
    });
  }

  // Both sides are told.
  reset() {
    for (const { near, far } of this.links) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
  }

  // The same, within what the server sends next: the client gets the beginning of that.
  torn() {
    this.tearing = true;
  }

  tear({ near, far }, data) {
    this.tearing = false;
    near.end(data.subarray(0, random(data.length)));
    far.resetAndDestroy();
    this.reset();
  }

  // The server is not told, and what it sends goes nowhere.
  vanished() {
    for (const link of this.links) {
      link.vanished = true;
      link.near.unpipe(link.far);
      link.far.pause();
      link.near.resetAndDestroy();
    }
  }
}

const WAYS = {
  closed: async ({ socket: { io } }) => {
    // The client would repeat an event that comes while it closes and upgrades: it keeps that for its next connection.
    await until(() => !io.engine.upgrading);
    io.engine.close();
  },
  reset: ({ proxy }) => proxy.reset(),
  torn: ({ proxy }) => proxy.torn(),
  vanished: ({ proxy }) => proxy.vanished(),
};

class Listener {
  constructor(index, { version = "v4", mode, ways = [] }) {
    this.name = `${index}-${version}-${mode}`;
    this.room = index % 2 ? "odd" : ROOM;
    this.ways = ways;
    this.client = { version, mode };
    this.closes = 0;
    this.sids = [];
    this.report = { name: this.name, ways: {}, recovered: 0, unrecovered: 0, heard: 0, wrong: [] };
  }

  async connect() {
    this.proxy = new Proxy(pick(settings.ports));
    const url = `http://127.0.0.1:${await this.proxy.listen()}`;
    this.socket = new Client(url, this.client.version, this.client.mode).socket({ ...RECONNECTION, auth: { name: this.name } });
    this.socket.on("connect", () => this.connected());
    this.socket.on("said", (...args) => this.hear(...args));
    this.socket.on("gust", (emitter, number) => this.feel(emitter, number));
    this.socket.on("foreign", () => this.wrong("an event of a room that it is not in"));
    this.socket.io.on("reconnect_attempt", () => (this.proxy.port = pick(settings.ports)));
    await connection(this.socket);
    await this.entering;
  }

  get sid() {
    return this.sids.at(-1); // socket.id is gone while it is not connected
  }

  wrong(text) {
    const { wrong, recovered, unrecovered } = this.report;
    if (wrong.length < MANY) wrong.push(`${this.name}, recovered ${recovered} times and ${unrecovered} not: ${text}`);
  }

  connected() {
    if (this.socket.recovered) {
      this.report.recovered++;
      if (this.socket.id !== this.sid) this.wrong(`recovered as ${this.socket.id}`);
      return;
    }
    if (this.sids.length) this.report.unrecovered++;
    if (this.sids.includes(this.socket.id)) this.wrong("a new client with its old id");
    this.sids.push(this.socket.id);
    this.next = {}; // the number that is expected, by emitter and stream
    this.totals = {};
    this.gusts = {};
    this.entering = ack(this.socket, "enter", this.room, this.name);
  }

  // Whether a client of this name and id gets what is sent to a stream.
  gets(stream) {
    const { kind, name } = parsed(stream);
    if (kind === "all") return true;
    if (kind === "room") return name === this.room;
    return (kind === "sid") === (name === this.sid);
  }

  hear(emitter, stream, number, total, ...more) {
    this.report.heard++;
    const key = `${emitter} ${stream}`;
    const expected = this.next[key] ?? (settings.drivers || stream.startsWith("sid") ? 0 : number);
    if (number !== expected) this.wrong(`${key}: ${number} for ${expected}`);
    else if (total <= this.totals[emitter]) this.wrong(`${key} ${number}: ${total} after ${this.totals[emitter]}`);
    if (!this.gets(stream)) this.wrong(`${key} is for others`);
    if (more.length > 1 && String(more[0]) !== `bytes ${total}`) this.wrong(`${key} ${number}: other bytes`);
    this.next[key] = number + 1;
    this.totals[emitter] = total;
  }

  // An event that may be lost.
  feel(emitter, number) {
    if (number <= this.gusts[emitter]) this.wrong(`volatile: ${number} after ${this.gusts[emitter]}`);
    this.gusts[emitter] = number;
  }

  async lose() {
    const way = pick(this.ways);
    this.report.ways[way] = (this.report.ways[way] ?? 0) + 1;
    let lost = !this.socket.connected; // it may be coming back just now, from a server that stops
    this.socket.once("disconnect", () => (lost = true));
    await WAYS[way](this);
    if (!(await until(() => lost, 300))) {
      this.proxy.tearing = false;
      this.socket.io.engine.close(); // it had no connection that could break
    }
    if (!(await until(() => lost && this.socket.connected))) throw new Error(`${this.name} is not back after "${way}"`);
    this.closes++;
  }

  async loseAgainAndAgain() {
    while (this.closes < settings.closes && !stopping) {
      await sleep(random(settings.pause));
      await this.lose();
    }
  }

  // The emitters and streams of which something has not come. A new client has not had all of them.
  missing(sent) {
    return Object.keys(sent).filter((key) => {
      const stream = key.slice(key.lastIndexOf(" ") + 1);
      return this.gets(stream) && (this.next[key] ?? (this.sids.length > 1 ? Infinity : 0)) < sent[key];
    });
  }

  async finish(sent) {
    for (const key of this.missing(sent)) this.wrong(`${key}: ${this.next[key] ?? 0} of ${sent[key]}`);
    if (!this.socket.connected) return this.wrong("not connected");
    const [state] = await Promise.race([ack(this.socket, "state"), sleep(PATIENCE).then(() => [null])]);
    if (state === null) return this.wrong("no answer");
    const { rooms, session, own } = state;
    const right = { rooms: [this.room, this.sid].sort(), session: this.name, own: this.name };
    if (JSON.stringify({ rooms: rooms.sort(), session, own }) !== JSON.stringify(right)) {
      this.wrong(`the server has ${JSON.stringify(state)} for ${JSON.stringify(right)}`);
    }
  }
}

function parsed(stream) {
  const [kind, name] = stream.split(":");
  return { kind, name };
}

class Driver {
  constructor(index, listeners) {
    this.name = `driver-${index}`;
    this.listeners = listeners;
    this.share = settings.events / settings.drivers;
    this.total = 0;
    this.gusts = 0;
    this.numbers = {};
    this.client = new Client(`http://127.0.0.1:${settings.ports[index % settings.ports.length]}`, "v4", "websocket");
    if (listeners[0].client.version === "msgpack") this.client.version = "msgpack";
  }

  async connect() {
    this.socket = await this.client.connected();
  }

  event() {
    const streams = ["all", `room:${ROOM}`, `sid:${pick(this.listeners).sid}`, `but:${pick(this.listeners).sid}`];
    const stream = pick(streams);
    const { kind, name } = parsed(stream);
    const options = { all: {}, room: { to: name }, sid: { to: name }, but: { skip_sid: name } }[kind];
    const number = this.numbers[stream] ?? 0;
    const data = [this.name, stream, number, this.total];
    if (this.total % 10 === 3) data.push(Buffer.from(`bytes ${this.total}`));
    this.numbers[stream] = number + 1;
    this.total++;
    return ["said", data, options];
  }

  async say(count) {
    const events = [];
    while (count-- > 0) events.push(this.event());
    events.push(["gust", [this.name, this.gusts++], { volatile: true }], ["foreign", [], { to: "nobody's" }]);
    await ack(this.socket, "say", events);
  }

  // Send this driver's share while the clients lose their connections.
  async run() {
    const progress = () => this.listeners.reduce((sum, { closes }) => sum + closes, 0) / this.listeners.length / settings.closes;
    while (this.total < this.share) {
      if (!(await until(() => progress() >= this.total / this.share))) throw new Error("no client loses its connection");
      await this.say(Math.min(1 + random(5), this.share - this.total));
    }
  }

  sent() {
    return Object.entries(this.numbers).map(([stream, count]) => [`${this.name} ${stream}`, count]);
  }
}

async function driven(listeners) {
  if (settings.early) {
    await Promise.all(listeners.map((listener) => listener.lose()));
    for (const listener of listeners) listener.closes = 0;
  }
  const drivers = Array.from({ length: settings.drivers }, (_, index) => new Driver(index, listeners));
  for (const driver of drivers) await driver.connect();
  await drivers[0].say(20);
  await until(() => listeners.every(({ report }) => report.heard));
  await Promise.all([...listeners.map((listener) => listener.loseAgainAndAgain()), ...drivers.map((driver) => driver.run())]);
  return Object.fromEntries(drivers.flatMap((driver) => driver.sent()));
}

async function watched(listeners) {
  const losing = Promise.all(listeners.map((listener) => listener.loseAgainAndAgain()));
  losing.catch(() => {}); // it is awaited below
  for await (const line of createInterface({ input: process.stdin })) {
    stopping = true;
    await losing;
    return JSON.parse(line);
  }
}

const listeners = settings.clients.map((client, index) => new Listener(index, client));
await Promise.all(listeners.map((listener) => listener.connect()));
console.log(JSON.stringify({ ready: true }));
let failure = null;
try {
  const sent = settings.drivers ? await driven(listeners) : await watched(listeners);
  await until(() => listeners.every((listener) => listener.socket.connected && !listener.missing(sent).length));
  await Promise.all(listeners.map((listener) => listener.finish(sent)));
} catch (error) {
  failure = String(error.stack ?? error);
}
const clients = listeners.map(({ report }) => report);
process.stdout.write(`${JSON.stringify({ failure, clients })}\n`, () => process.exit(0));
