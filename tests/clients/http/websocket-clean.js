// WebSockets through a route that does nothing: ws on both sides.
"use strict";

const { once } = require("node:events");
const { WebSocket } = require("ws");
const { same, sha256, run } = require("./checks.js");

const url = `${process.env.NODE.replace("http:", "ws:")}/socket`;

async function opened(options) {
  const socket = new WebSocket(url, options);
  await once(socket, "open");
  return socket;
}

async function echoed(socket, data) {
  const answer = once(socket, "message");
  socket.send(data);
  const [got, isBinary] = await answer;
  same("echo", [sha256(got), isBinary], [sha256(data), typeof data !== "string"]);
}

async function sizes() {
  const socket = await opened();
  for (const size of [0, 1, 125, 126, 65_535, 65_536, 5_000_000]) {
    await echoed(socket, Buffer.alloc(size, size % 251));
  }
  await echoed(socket, "text: é, 漢字, 🐢");
  const pong = once(socket, "pong");
  socket.ping("still there?");
  same("pong", String((await pong)[0]), "still there?");
  socket.close(4000, "enough");
  same("closed by the client", (await once(socket, "close"))[0], 4000);
}

async function compressed() {
  const socket = await opened({ perMessageDeflate: true });
  await echoed(socket, "a".repeat(100_000));
  socket.send("leave!");
  const [code, reason] = await once(socket, "close");
  same("closed by the server", [code, String(reason)], [4001, "as you wish"]);
}

// Frames follow the handshake's request at once, and 500 are under way both ways.
async function many() {
  const socket = await opened();
  const got = [];
  const all = new Promise((done) => {
    socket.on("message", (data) => {
      got.push(String(data));
      if (got.length === 500) done();
    });
  });
  const sent = Array.from({ length: 500 }, (_, n) => `message ${n} ${"x".repeat(n * 10)}`);
  sent.forEach((text) => socket.send(text));
  await all;
  same("500 messages in order", got, sent);
  socket.terminate();
}

async function crowd() {
  const sockets = await Promise.all(Array.from({ length: 50 }, () => opened()));
  await Promise.all(sockets.map((socket, n) => echoed(socket, `from ${n}`)));
  sockets.forEach((socket) => socket.close());
  await Promise.all(sockets.map((socket) => once(socket, "close")));
  const closed = sockets.filter((socket) => socket.readyState === WebSocket.CLOSED);
  same("50 sockets closed", closed.length, 50);
}

run("ws", async () => {
  await sizes();
  await compressed();
  await many();
  await crowd();
});
