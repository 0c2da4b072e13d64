// The npm client in one of its versions, and small promises around it.
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const PACKAGES = { v4: "socket.io-client", v3: "socket.io-client-3", msgpack: "socket.io-client" };
const TRANSPORTS = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };

export class Client {
  // version: "v4", "v3" or "msgpack", which is v4 with that parser; mode: "polling", "websocket" or "upgrade"
  constructor(url, version, mode) {
    this.url = url;
    this.version = version;
    this.mode = mode;
    this.library = require(PACKAGES[version]);
    this.sockets = new Set();
  }

  options(more = {}) {
    return {
      transports: TRANSPORTS[this.mode],
      forceNew: true,
      reconnection: false,
      ...(this.version === "msgpack" ? { parser: require("socket.io-msgpack-parser") } : {}),
      ...more,
    };
  }

  // A socket on a connection of its own; it connects by itself.
  socket(more = {}, namespace = "") {
    const socket = this.library.io(this.url + namespace, this.options(more));
    this.sockets.add(socket);
    return socket;
  }

  manager(more = {}) {
    return new this.library.Manager(this.url, this.options(more));
  }

  async connected(more = {}, namespace = "") {
    const socket = this.socket(more, namespace);
    await connection(socket);
    return socket;
  }

  close() {
    for (const socket of this.sockets) socket.disconnect();
  }
}

// The arguments of the next such event.
export function next(emitter, event) {
  return new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));
}

// Resolves when the socket is connected, rejects when its connection is refused.
export function connection(socket) {
  return new Promise((resolve, reject) => {
    if (socket.connected) resolve();
    socket.once("connect", resolve);
    socket.once("connect_error", (error) => reject(new Error(`connect_error: ${error.message}`)));
  });
}

// The arguments of the acknowledgement.
export function ack(socket, event, ...args) {
  return new Promise((resolve) => socket.emit(event, ...args, (...answer) => resolve(answer)));
}

// Resolves when the connection of the socket uses WebSocket.
export async function upgrade(socket) {
  const engine = socket.io.engine;
  if (engine.transport.name !== "websocket") await next(engine, "upgrade");
}

export async function until(condition, what) {
  for (let tries = 0; tries < 400; tries++) {
    const value = await condition();
    if (value) return value;
    await sleep(10);
  }
  throw new Error(`never: ${what}`);
}

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
