// What ws sees of each fault: of those of a request at the handshake, of those of bytes after it.
"use strict";

const { once } = require("node:events");
const { WebSocket } = require("ws");
const { same, atLeast, run } = require("./checks.js");

const dial = (route) => new WebSocket(`${process.env[route].replace("http:", "ws:")}/socket`);

async function refused(route, wanted) {
  const socket = dial(route);
  const [error] = await once(socket, "error");
  same(`${route}: ${error.message}`, wanted.test(error.code ?? error.message), true);
}

async function echoed(route, least) {
  const socket = dial(route);
  const begun = performance.now();
  await once(socket, "open");
  atLeast(`${route}: the handshake`, performance.now() - begun, least.handshake);
  const sent = performance.now();
  socket.send("hello");
  const [got] = await once(socket, "message");
  same(`${route}: echo`, String(got), "hello");
  atLeast(`${route}: a message`, performance.now() - sent, least.message);
  socket.close();
  await once(socket, "close");
}

run("ws", async () => {
  await refused("ERROR", /503/);
  await refused("TEAPOT", /418/);
  await refused("RESET", /ECONNRESET/);
  await refused("CLOSED", /socket hang up|ECONNRESET/);
  await refused("HELD", /504/);
  await echoed("DELAYED", { handshake: 149, message: 0 });
  await echoed("LATE", { handshake: 149, message: 149 });
});
