// node unref.mjs URL OPTIONS
// A client that writes a line at its first connection or error; from then on nothing else keeps this process.
import { io } from "socket.io-client";

const [url, options] = process.argv.slice(2);
const socket = io(url, JSON.parse(options));
const busy = setInterval(() => {}, 1000);
for (const event of ["connect", "connect_error"]) {
  socket.once(event, () => setTimeout(() => {
    clearInterval(busy);
    console.log(event);
  }, 100)); // time to upgrade
}
