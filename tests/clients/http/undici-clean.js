// What undici, and Node's own http, ask for through a route that does nothing.
"use strict";

const http = require("node:http");
const { once } = require("node:events");
const { Client, Pool, fetch } = require("undici");
const { same, atLeast, sha256, run } = require("./checks.js");
const { NODE, NGINX } = process.env;

async function keptAlive() {
  const client = new Client(NODE);
  let connects = 0;
  client.on("connect", () => (connects += 1));
  for (let n = 0; n < 50; n += 1) {
    const got = await client.request({ path: `/chunked/${n * 500}`, method: "GET" });
    const body = Buffer.from(await got.body.arrayBuffer());
    same(`kept alive ${n}`, sha256(body), got.headers["x-sha256"]);
  }
  same("one connection for 50", connects, 1);
  await client.close();
}

// All requests are written before the first answer is read.
async function pipelined() {
  const client = new Client(NODE, { pipelining: 20 });
  let connects = 0;
  client.on("connect", () => (connects += 1));
  const ask = async (n) => {
    const way = ["sized", "chunked", "trailers"][n % 3];
    const got = await client.request({ path: `/${way}/${n * 97}`, method: "GET" });
    const body = Buffer.from(await got.body.arrayBuffer());
    same(`pipelined ${n}: length`, body.length, n * 97);
    if (way === "trailers") same("trailer", got.trailers["x-sha256-after"], sha256(body));
    else same(`pipelined ${n}: bytes`, sha256(body), got.headers["x-sha256"]);
  };
  await Promise.all(Array.from({ length: 200 }, (_, n) => ask(n)));
  same("one connection for 200", connects, 1);
  await client.close();
}

async function uploads() {
  const pool = new Pool(NODE, { connections: 8 });
  const upload = async (n) => {
    const whole = Buffer.alloc(n * 10_007, n);
    const parts = (async function* () {
      for (let at = 0; at < whole.length; at += 4001) yield whole.subarray(at, at + 4001);
    })();
    const body = n % 2 === 0 ? parts : whole;
    const got = await pool.request({ path: "/echo", method: "PUT", body });
    const told = await got.body.json();
    same(`upload ${n}`, [told.count, told.sha256], [whole.length, sha256(whole)]);
  };
  await Promise.all(Array.from({ length: 40 }, (_, n) => upload(n + 1)));
  await pool.close();
}

async function fetched() {
  const got = await fetch(`${NGINX}/text`, { headers: { range: "bytes=10-19" } });
  same("fetch: range", [got.status, await got.text()], [206, "x".repeat(10)]);
  const events = await fetch(`${NODE}/events/5/60`);
  const times = [];
  for await (const piece of events.body) {
    if (piece.length > 0) times.push(performance.now());
  }
  atLeast("events come one by one", times.at(-1) - times[0], 4 * 60 * 0.8);
}

// What undici does not show: 100, 103, Expect, trailers of a request, an upgrade that is not taken.
async function ownHttp() {
  const { hostname, port } = new URL(NODE);
  const ask = (path, options) => http.request({ hostname, port, path, ...options });
  const read = async (response) => Buffer.concat(await response.toArray());
  const hinted = ask("/hints/");
  const both = [once(hinted, "information"), once(hinted, "response")]; // they may come at once
  hinted.end();
  const codes = (await Promise.all(both)).map(([response]) => response.statusCode);
  same("103 before 200", codes, [103, 200]);
  const expecting = ask("/echo", { method: "POST", headers: { expect: "100-continue" } });
  expecting.flushHeaders();
  await once(expecting, "continue");
  expecting.end("after 100");
  const told = JSON.parse(await read((await once(expecting, "response"))[0]));
  same("Expect", told.sha256, sha256("after 100"));
  const trailing = ask("/echo", { method: "POST", headers: { trailer: "x-after" } });
  trailing.write("body");
  trailing.addTrailers({ "x-after": "seen" });
  trailing.end();
  const echoed = JSON.parse(await read((await once(trailing, "response"))[0]));
  const trailers = echoed.rawTrailers.map((text) => text.toLowerCase());
  same("trailers of a request", trailers, ["x-after", "seen"]);
  const upgrade = ask("/sized/100", { headers: { connection: "upgrade", upgrade: "x-unknown" } });
  upgrade.end();
  same("an upgrade not taken", (await once(upgrade, "response"))[0].statusCode, 400);
}

run("undici", async () => {
  await keptAlive();
  await pipelined();
  await uploads();
  await fetched();
  await ownHttp();
});
