import { equal, failure, next, ok, sleep, suite } from "./harness.mjs";

const check = suite("retry");

check("events that are to be retried are sent one by one and in order", async (t) => {
  const socket = t.io("/", { retries: 1, ackTimeout: 10_000 });
  const packets = t.sent(socket.io.engine);
  const waiting = [];
  const answers = [1, 2, 3].map((number) => {
    const answer = new Promise((resolve) => {
      socket.emit("echo", number, (error, value) => {
        waiting.push(socket._queue.length);
        resolve([error, value]);
      });
    });
    equal(socket._queue.length, number);
    return answer;
  });
  equal(await Promise.all(answers), [[null, 1], [null, 2], [null, 3]]);
  equal(waiting, [2, 1, 0]);
  socket.disconnect();
  equal(packets, ["0", '20["echo",1]', '21["echo",2]', '22["echo",3]', "1"]);
});

check("an event that is never acknowledged fails after its retries", async (t) => {
  const socket = t.io("/", { retries: 3, ackTimeout: 50 });
  const packets = t.sent(socket.io.engine);
  let asked = 0;
  const arrived = new Promise((resolve) => socket.on("ask", () => ++asked === 4 && resolve()));
  await failure(new Promise((resolve, reject) => {
    socket.emit("ask", (error) => (error ? reject(error) : resolve("acknowledged")));
  }));
  await arrived;
  socket.disconnect();
  equal(packets, ["0", '20["ask"]', '21["ask"]', '22["ask"]', '23["ask"]', "1"]);
});

check("nothing is tried while the socket is disconnected", async (t) => {
  const socket = t.io("/", { autoConnect: false, retries: 3, ackTimeout: 2000 });
  const answered = new Promise((resolve) => socket.emit("echo", 1, (...args) => resolve(args)));
  await sleep(100);
  equal(socket._queue.map(({ tryCount }) => tryCount), [0]);
  socket.connect();
  equal(await answered, [null, 1]);
});
