// node workers.mjs URL '{"version", "mode", "clients", "acks", "broadcasts", "senders"}'
// Puts clients under load, against tests/apps/workers.py. Once all have joined the room it prints {"joined": [...]},
// the worker of each, or null. Then each asks for `acks` acknowledgements, one after the other, and the first `senders`
// of them send `broadcasts` to all, together. With "acks": null they go on until stdin ends.
// At last it prints {"clients": [...]}, what each has seen (see tests/support/worker_load.py).
import { Client, sleep } from "./client.mjs";

const [url, text] = process.argv.slice(2);
const load = JSON.parse(text);
const ROOM = "everybody";
const PATIENCE = 10_000;
const MANY = 20; // so much is kept of what goes wrong
const endless = load.acks === null;
let stopping = false;

function note(list, item) {
  if (list.length < MANY) list.push(item);
}

// What an error of a transport says, with the status of the answer if there was one.
function described(error) {
  return typeof error.description === "number" ? `${error.message} ${error.description}` : error.message;
}

class LoadedClient {
  constructor(number) {
    this.name = `${number}`;
    this.says = number < load.senders ? load.broadcasts / load.senders : 0;
    this.report = {
      workers: [], acks: 0, wrong: [], heard: {}, misheard: [],
      connects: 0, disconnects: [], errors: [], transport: null,
    };
    const client = new Client(url, load.version, load.mode);
    const socket = (this.socket = client.socket({ reconnection: true, reconnectionDelay: 100, reconnectionDelayMax: 500 }));
    socket.io.on("error", (error) => note(this.report.errors, described(error)));
    socket.io.on("open", () =>
      socket.io.engine.on("upgradeError", (error) => note(this.report.errors, `upgrade: ${described(error)}`)),
    );
    socket.on("connect_error", (error) => note(this.report.errors, `not connected: ${described(error)}`));
    socket.on("disconnect", (reason) => note(this.report.disconnects, reason));
    socket.on("said", (sender, number) => this.hear(sender, number));
    this.joined = new Promise((resolve) => {
      socket.on("connect", async () => {
        this.report.connects++;
        const answer = await (this.joining = this.ask("join", ROOM));
        if (answer) resolve(this.at(answer.worker));
      });
    });
  }

  at(worker) {
    if (this.report.workers.at(-1) !== worker) this.report.workers.push(worker);
    return worker;
  }

  hear(sender, number) {
    const expected = this.report.heard[sender] ?? 0;
    if (number !== expected) note(this.report.misheard, `${sender}: ${number} for ${expected}`);
    this.report.heard[sender] = number + 1;
  }

  // The acknowledgement; null if none comes, or the client is disconnected before it does.
  ask(event, ...args) {
    return new Promise((resolve) => {
      const done = (answer) => {
        clearTimeout(timer);
        this.socket.off("disconnect", lost);
        resolve(answer);
      };
      const lost = () => done(null);
      const timer = setTimeout(() => {
        note(this.report.wrong, `no answer to ${event}`);
        done(null);
      }, PATIENCE);
      this.socket.once("disconnect", lost);
      this.socket.emit(event, ...args, done);
    });
  }

  async echo(n) {
    const data = `${this.name}:${n}`;
    const answer = await this.ask("echo", data);
    if (!answer) return;
    this.at(answer.worker);
    if (answer.data === data) this.report.acks++;
    else note(this.report.wrong, `${answer.data} for ${data}`);
  }

  async run() {
    for (let n = 0; endless ? !stopping : n < Math.max(load.acks, this.says); n++) {
      if (n < this.says) await this.ask("say", ROOM, this.name, n);
      if (endless || n < load.acks) await this.echo(n);
      if (endless) await sleep(20);
    }
  }

  heardAll() {
    return Object.values(this.report.heard).reduce((sum, count) => sum + count, 0) >= load.broadcasts;
  }
}

async function until(condition) {
  for (const start = Date.now(); !condition() && Date.now() - start < PATIENCE; ) await sleep(10);
}

const clients = Array.from({ length: load.clients }, (_, number) => new LoadedClient(number));
const late = sleep(2 * PATIENCE).then(() => null); // for those who cannot join
const joined = await Promise.all(clients.map((client) => Promise.race([client.joined, late])));
console.log(JSON.stringify({ joined }));
process.stdin.on("end", () => (stopping = true)).resume();
await Promise.all(clients.map((client) => client.run()));
await until(() => clients.every((client) => client.socket.connected && (endless || client.heardAll())));
await Promise.all(clients.map((client) => client.joining));
for (const { socket, report } of clients) report.transport = socket.connected ? socket.io.engine.transport.name : null;
process.stdout.write(`${JSON.stringify({ clients: clients.map((client) => client.report) })}\n`, () => process.exit(0));
