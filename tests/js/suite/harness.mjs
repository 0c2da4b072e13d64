// What the checks of the suite share. It runs in Node and in a page.
const checks = [];

// A function that adds checks: named after the file of the official suite that tests the same. `where` is
// "anywhere", "node" or "page".
export function suite(file) {
  return (name, run, where = "anywhere") => checks.push({ name: `${file}: ${name}`, run, where });
}

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// The arguments of the next such event.
export function next(emitter, event) {
  return new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));
}

export function ok(value, what) {
  if (!value) throw new Error(`not so: ${what}`);
}

export function equal(actual, expected) {
  const [found, wanted] = [actual, expected].map((value) => JSON.stringify(value) ?? "undefined");
  if (found !== wanted) throw new Error(`${found} instead of ${wanted}`);
}

// The error that a promise is rejected with.
export async function failure(promise) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    ok(error instanceof Error, "what is thrown is an Error");
    return error;
  }
  throw new Error(`no error, but ${JSON.stringify(value)}`);
}

// Calls make() while `timer` is in the place of setTimeout(). Clients keep the one that they find when they are made.
export function withTimer(timer, make) {
  const real = globalThis.setTimeout;
  globalThis.setTimeout = timer;
  try {
    return make();
  } finally {
    globalThis.setTimeout = real;
  }
}

// What one check gets: it makes clients, and closes them when the check has ended.
class Trial {
  // client: the exports of socket.io-client or engine.io-client; url: of the server; nobody: a URL where nobody
  // listens; options: those that every client needs here; recovery: whether the server restores connections;
  // watchedAgent: in Node, makes an agent that tells a function of each request
  constructor(environment) {
    Object.assign(this, environment);
    this.managers = new Set();
    this.engines = new Set();
    this.failures = [];
  }

  // A socket that has a connection of its own unless the options say otherwise.
  io(path = "/", options = {}) {
    const socket = this.client.io(this.url + path, { forceNew: true, ...this.options, ...options });
    this.managers.add(socket.io);
    return socket;
  }

  manager(options = {}, url = this.url) {
    const manager = new this.client.Manager(url, { ...this.options, ...options });
    this.managers.add(manager);
    return manager;
  }

  // A client of the engine alone.
  engine(options = {}) {
    const socket = new this.client.Socket(this.url, { ...this.options, ...options });
    this.engines.add(socket);
    return socket;
  }

  // The check fails if this event is ever emitted.
  never(emitter, event) {
    emitter.on(event, () => this.failures.push(new Error(`${event} was emitted`)));
  }

  // The data of the messages that a client sends from now on.
  sent(engine) {
    const packets = [];
    engine.on("packetCreate", ({ type, data }) => type === "message" && packets.push(data));
    return packets;
  }

  close() {
    for (const manager of this.managers) manager._close();
    for (const engine of this.engines) engine.close();
  }
}

// Runs the checks that belong to a place, `together` of them at once, and reports {"name", "error"} of each.
export async function run(environment, place, together, report) {
  const queue = checks.filter(({ where }) => where === "anywhere" || where === place);
  const worker = async () => {
    for (let check = queue.shift(); check; check = queue.shift()) {
      report({ name: check.name, error: await outcome(check, environment) });
    }
  };
  await Promise.all([...Array(together)].map(worker));
}

async function outcome(check, environment) {
  const trial = new Trial(environment);
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error("no end within 15 s")), 15_000));
  try {
    await Promise.race([check.run(trial), late]);
    if (trial.failures.length) throw trial.failures[0];
    return null;
  } catch (error) {
    return String(error.stack ?? error);
  } finally {
    trial.close();
  }
}

export const list = () => checks.map(({ name, where }) => ({ name, place: where }));
